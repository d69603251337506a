import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { askProgram } from '../../base/process/ask-program.ts';
import type { Confinement, Ffmpeg, Sandbox } from '../../base/process/confinement.ts';
import { findProgram, isExecutable } from '../../base/process/find-program.ts';
import { LogTail, lastLines } from '../../base/process/log-tail.ts';
import type { Access } from '../../base/process/sandbox-view.ts';
import { startReader } from '../../base/process/start-reader.ts';
import { type DecoderConfig, decoderConfig } from '../../settings/config/decoder-config.ts';
import type { DecoderEnvironment } from '../../settings/config/environment.ts';

export interface ConfinementRequest {
  readonly searchPath: string;
  readonly environment: DecoderEnvironment;
  readonly decoder?: DecoderConfig | undefined;
  readonly onNotice?: ((text: string) => void) | undefined;
}

const SHELL = '/bin/sh';
const MIB = 2 ** 20;

/**
 * Decides how the children of this ffmpeg are confined here. A sandbox counts if ffmpeg decodes a picture in it and cannot read
 * the file beside that picture.
 *
 * @throws CONFIG_INVALID if the configuration names a sandbox that does not work.
 */
export async function findConfinement(
  ffmpeg: Pick<Ffmpeg, 'path' | 'major'>,
  { searchPath, environment, decoder = decoderConfig.parse({}), onNotice }: ConfinementRequest,
): Promise<Confinement> {
  const isPosix = process.platform !== 'win32';
  const isLinux = process.platform === 'linux';
  const free: Confinement = {
    environment: environment.general,
    networkEnvironment: environment.network,
    maxPixels: decoder.maxPixels,
    memoryBytes: isLinux ? decoder.memoryMib * MIB : null,
    shell: isPosix && isExecutable(SHELL) ? SHELL : null,
    setpriv: isLinux ? await findSetpriv(searchPath) : null,
    sandbox: null,
    isSandboxNamed: decoder.sandbox !== 'auto',
    systemPaths: await systemPaths(ffmpeg.path, environment.general.LD_LIBRARY_PATH ?? ''),
  };
  if (decoder.sandbox === 'none') return free;
  const problems: string[] = [];
  for (const kind of decoder.sandbox === 'auto' ? (['bwrap', 'landlock'] as const) : [decoder.sandbox]) {
    const sandbox = sandboxOf(kind, free, searchPath);
    const problem =
      typeof sandbox === 'string' ? sandbox : await problemOf({ ...ffmpeg, confinement: { ...free, sandbox } });
    if (problem === null && typeof sandbox !== 'string') return { ...free, sandbox };
    problems.push(`${kind}: ${problem}`);
  }
  if (decoder.sandbox !== 'auto')
    throw new SightlineError('CONFIG_INVALID', `decoder.sandbox: ${problems[0]}. auto uses what works here`);
  onNotice?.(`ffmpeg runs without a sandbox (${problems.join('; ')})`);
  return free;
}

/** Finds setpriv, also in /usr/bin: a service may have no PATH. Busybox has a program of this name without the options. */
async function findSetpriv(searchPath: string): Promise<string | null> {
  const path = findProgram('setpriv', [searchPath, '/usr/bin'].join(delimiter));
  if (path === null) return null;
  const options = ['--pdeathsig', 'KILL', '--no-new-privs', SHELL, '-c', 'exit 0'];
  return askProgram(path, options, { env: {} }).then(
    () => path,
    () => null,
  );
}

/** Returns the sandbox, or the reason why there is none. */
function sandboxOf(kind: Sandbox['kind'], { shell, setpriv }: Confinement, searchPath: string): Sandbox | string {
  if (process.platform !== 'linux') return 'only Linux has it';
  if (shell === null) return `there is no ${SHELL}`;
  if (kind === 'bwrap') {
    const bwrap = findProgram('bwrap', searchPath);
    return bwrap === null ? 'not installed (bubblewrap)' : { kind, bwrap };
  }
  const perl = findProgram('perl', searchPath);
  if (perl === null) return 'needs perl';
  return setpriv === null ? 'needs setpriv (util-linux)' : { kind, perl };
}

/** Folders of programs and libraries, and what the loader of programs reads. */
async function systemPaths(ffmpegPath: string, libraryPath: string): Promise<string[]> {
  const program = await realpath(ffmpegPath);
  return [
    ...['/usr', '/lib', '/lib64', '/lib32', '/bin', '/sbin', '/nix/store', '/gnu/store'],
    ...['/etc/ld.so.cache', '/etc/ld.so.conf', '/etc/ld.so.conf.d', '/etc/alternatives', '/etc/localtime'],
    ...[program, join(dirname(program), '..', 'lib'), ...libraryPath.split(delimiter).filter((each) => each !== '')],
  ];
}

/** Two pixels: a picture in the format PPM. */
const PICTURE = 'P6\n2 1\n255\n\u0001\u0002\u0003\u0004\u0005\u0006';
const PIXEL_BYTES = 6;
const TRIAL_MS = 10_000;
/** Prints the first line of each of its two files that it can read. Starting a second ffmpeg instead takes 60 ms of CPU. */
const READ_BOTH = 'for file; do read -r line <"$file" && echo "$line"; done';
const FIRST_LINE = 'P6\n';

/** Returns why a sandbox cannot be used: ffmpeg does not work in it, or can leave it; null if it can be used. */
async function problemOf(ffmpeg: Ffmpeg): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), 'sightline-sandbox-')).catch(() => null);
  if (folder === null)
    return `its test needs a folder for temporary files, and ${tmpdir()} is not writable; set TMPDIR`;
  try {
    const [open, closed] = [join(folder, 'open.ppm'), join(folder, 'closed.ppm')];
    for (const path of [open, closed]) await writeFile(path, PICTURE, 'latin1');
    const access = { reads: [open] };
    const decode = ['-hide_banner', '-nostdin', '-loglevel', 'error', '-f', 'image2', '-i', `file:${open}`];
    const [decoded, read] = await Promise.all([
      tryIn(ffmpeg, [...decode, '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'], access),
      tryIn({ ...ffmpeg, path: SHELL }, ['-c', READ_BOTH, 'sh', open, closed], access),
    ]);
    if (decoded.output.length !== PIXEL_BYTES) return `ffmpeg does not work in it (${decoded.said})`;
    if (read.output === FIRST_LINE) return null;
    return read.output === '' ? `${SHELL} does not work in it (${read.said})` : 'ffmpeg can read other files in it';
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a program in the sandbox. @returns its output, a character for each byte, and the last line of its log. */
async function tryIn(program: Ffmpeg, args: string[], access: Access): Promise<{ output: string; said: string }> {
  const { group } = await startReader(program, args, access);
  const { child } = group;
  const log = new LogTail(child.stderr!, 2_000);
  let output = '';
  child.stdout!.setEncoding('latin1').on('data', (text: string) => {
    output += text;
  });
  group.killAfter(TRIAL_MS);
  await new Promise((resolve) => child.once('close', resolve));
  return { output, said: lastLines(log.text, 1)[0] ?? 'it said nothing' };
}
