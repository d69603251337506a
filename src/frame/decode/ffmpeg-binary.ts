import { createRequire } from 'node:module';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { askProgram } from '../../base/process/ask-program.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import { findProgram, isExecutable } from '../../base/process/find-program.ts';
import type { DecoderConfig } from '../../settings/config/decoder-config.ts';
import type { DecoderEnvironment, Environment } from '../../settings/config/environment.ts';
import { findConfinement } from './find-confinement.ts';

export interface FfmpegBinary extends Ffmpeg {
  /** As ffmpeg prints it, e.g. `5.1.9-0+deb12u1`. */
  readonly version: string;
  readonly foundBy: 'setting' | 'PATH' | '@ffmpeg-installer/ffmpeg';
}

export interface FfmpegSearch {
  /** The user's setting; if it is set, nothing else is tried. */
  readonly path: string | undefined;
  /** The PATH of the environment. */
  readonly searchPath: string;
  /** Absent: only the PATH. */
  readonly environment?: DecoderEnvironment | undefined;
  /** Absent: the defaults. */
  readonly decoder?: DecoderConfig | undefined;
  /** Receives a sentence if ffmpeg is confined less than usual, or is an old one. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

/** Finds ffmpeg as the environment and the configuration say, see `findFfmpeg`. */
export function openFfmpeg(
  environment: Environment,
  onNotice: (text: string) => void,
  decoder?: DecoderConfig,
): Promise<FfmpegBinary> {
  const { ffmpegPath: path, searchPath, decoder: ofDecoder } = environment;
  return findFfmpeg({ path, searchPath, environment: ofDecoder, decoder, onNotice });
}

/**
 * Finds ffmpeg: from the user's setting, else in the PATH, else in the npm package. Decides how its children are confined.
 *
 * @throws FFMPEG_MISSING with what was tried and how to get one; CONFIG_INVALID if the sandbox that is named does not work.
 */
export async function findFfmpeg(search: FfmpegSearch): Promise<FfmpegBinary> {
  if (search.path !== undefined && search.path !== '') return describe(search.path, 'setting', search);
  const found = findProgram('ffmpeg', search.searchPath);
  if (found !== null) return describe(found, 'PATH', search);
  const packaged = packagedPath();
  if (packaged !== null) {
    if (search.decoder?.packaged === false)
      throw new SightlineError(
        'FFMPEG_MISSING',
        `the only ffmpeg is that of the npm package @ffmpeg-installer/ffmpeg, of 2018, which decoder.packaged forbids. ${INSTALL}`,
      );
    search.onNotice?.(
      `ffmpeg is that of the npm package @ffmpeg-installer/ffmpeg, of 2018: crafted media can use the flaws found since. ${INSTALL}`,
    );
    return describe(packaged, '@ffmpeg-installer/ffmpeg', search);
  }
  throw new SightlineError(
    'FFMPEG_MISSING',
    `no ffmpeg: FFMPEG_PATH is not set, none is in PATH and the npm package @ffmpeg-installer/ffmpeg is not installed. ${INSTALL}, or install Sightline with optional packages.`,
  );
}

const INSTALL = 'Install one (Debian: apt-get install ffmpeg; macOS: brew install ffmpeg)';

function packagedPath(): string | null {
  try {
    const { path } = createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string };
    return isExecutable(path) ? path : null;
  } catch {
    return null;
  }
}

async function describe(path: string, foundBy: FfmpegBinary['foundBy'], search: FfmpegSearch): Promise<FfmpegBinary> {
  const { searchPath } = search;
  const environment = search.environment ?? { general: searchPath === '' ? {} : { PATH: searchPath }, network: {} };
  const { version, major } = await ask(path, foundBy, environment.general);
  const confinement = await findConfinement({ path, major }, { ...search, environment });
  return { path, version, major, foundBy, confinement };
}

async function ask(
  path: string,
  foundBy: FfmpegBinary['foundBy'],
  env: Readonly<Record<string, string>>,
): Promise<Pick<FfmpegBinary, 'version' | 'major'>> {
  try {
    const { stdout, stderr } = await askProgram(path, ['-hide_banner', '-version'], { env });
    const version = /^ffmpeg version (\S+)/.exec(stdout)?.[1];
    const answer = stdout || stderr || 'nothing';
    if (version === undefined) throw new Error(`it does not answer -version like ffmpeg: ${answer.slice(0, 60)}`);
    return { version, major: majorOf(version, stdout) };
  } catch (error) {
    throw new SightlineError(
      'FFMPEG_MISSING',
      `ffmpeg at ${path} (found by ${foundBy}) cannot be run: ${(error as Error).message}`,
      { path },
    );
  }
}

/** libavutil's major version (builds from a commit have no number in their name) minus ffmpeg's, the same for every release since 3. */
const AVUTIL_AHEAD = 52;

function majorOf(version: string, banner: string): number {
  const avutil = /^libavutil\s+(\d+)\./m.exec(banner)?.[1];
  if (avutil !== undefined) return Number(avutil) - AVUTIL_AHEAD;
  return Number(/^n?(\d+)\./.exec(version)?.[1] ?? 4);
}
