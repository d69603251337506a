import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { SightlineError } from '../errors/sightline-error.ts';
import { findProgram, isExecutable } from '../process/find-program.ts';

export interface FfmpegBinary {
  readonly path: string;
  /** As ffmpeg prints it, e.g. `5.1.9-0+deb12u1`. */
  readonly version: string;
  /** Major version, derived from libavutil's: builds from a commit have no version number in their name. */
  readonly major: number;
  readonly foundBy: 'setting' | 'PATH' | '@ffmpeg-installer/ffmpeg';
}

export interface FfmpegSearch {
  /** The user's setting; if it is set, nothing else is tried. */
  readonly path: string | undefined;
  /** The PATH of the environment. */
  readonly searchPath: string;
}

/**
 * Finds ffmpeg: from the user's setting, else in the PATH, else in the npm package.
 *
 * @throws FFMPEG_MISSING with what was tried and how to get one.
 */
export async function findFfmpeg(search: FfmpegSearch): Promise<FfmpegBinary> {
  if (search.path !== undefined && search.path !== '') return describe(search.path, 'setting');
  const found = findProgram('ffmpeg', search.searchPath);
  if (found !== null) return describe(found, 'PATH');
  const packaged = packagedPath();
  if (packaged !== null) return describe(packaged, '@ffmpeg-installer/ffmpeg');
  throw new SightlineError(
    'FFMPEG_MISSING',
    'no ffmpeg: FFMPEG_PATH is not set, none is in PATH and the npm package @ffmpeg-installer/ffmpeg is not installed. Install one (Debian: apt-get install ffmpeg; macOS: brew install ffmpeg), or run npm ci with optional packages.',
  );
}

function packagedPath(): string | null {
  try {
    const { path } = createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string };
    return isExecutable(path) ? path : null;
  } catch {
    return null;
  }
}

async function describe(path: string, foundBy: FfmpegBinary['foundBy']): Promise<FfmpegBinary> {
  try {
    const { stdout } = await promisify(execFile)(path, ['-hide_banner', '-version'], { timeout: 10_000 });
    const version = /^ffmpeg version (\S+)/.exec(stdout)?.[1];
    if (version === undefined) throw new Error(`it does not answer -version like ffmpeg: ${stdout.slice(0, 60)}`);
    return { path, version, major: majorOf(version, stdout), foundBy };
  } catch (error) {
    throw new SightlineError(
      'FFMPEG_MISSING',
      `ffmpeg at ${path} (found by ${foundBy}) cannot be run: ${(error as Error).message}`,
      { path },
    );
  }
}

/** libavutil's major version minus ffmpeg's, the same for every release since 3. */
const AVUTIL_AHEAD = 52;

function majorOf(version: string, banner: string): number {
  const avutil = /^libavutil\s+(\d+)\./m.exec(banner)?.[1];
  if (avutil !== undefined) return Number(avutil) - AVUTIL_AHEAD;
  return Number(/^n?(\d+)\./.exec(version)?.[1] ?? 4);
}
