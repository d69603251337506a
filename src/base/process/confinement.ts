import { resolve } from 'node:path';
import { bubblewrapPrefix } from './bubblewrap.ts';
import { isExecutable } from './find-program.ts';
import { LANDLOCK_SCRIPT, landlockRules } from './landlock.ts';
import type { Access, SandboxView } from './sandbox-view.ts';

/** The ffmpeg that this process uses, and how its children are confined. Plain data: crosses threads. */
export interface Ffmpeg {
  readonly path: string;
  /** Major version. */
  readonly major: number;
  readonly confinement: Confinement;
}

/** What keeps a child from files and the network; `null` if nothing does. */
export type Sandbox =
  | { readonly kind: 'bwrap'; readonly bwrap: string }
  | { readonly kind: 'landlock'; readonly perl: string };

/** How the children of this process are confined (ADR 0039). */
export interface Confinement {
  /** The whole environment of a child, without that for the network. */
  readonly environment: Readonly<Record<string, string>>;
  /** Added for a child that reads from the network: proxies, certificates. */
  readonly networkEnvironment: Readonly<Record<string, string>>;
  /** Largest picture that a decoder accepts, in pixels. */
  readonly maxPixels: number;
  /** Most writable private memory of a child, in bytes; null for no limit. */
  readonly memoryBytes: number | null;
  /** Path of a POSIX shell, which sets the limits; null if there is none. */
  readonly shell: string | null;
  /** Path of util-linux' `setpriv`, which lets the kernel kill a child when this process dies; null if there is none. */
  readonly setpriv: string | null;
  readonly sandbox: Sandbox | null;
  /** True if the user named the sandbox: then it also holds for hardware decoders, which need devices. */
  readonly isSandboxNamed: boolean;
  /** Files and folders with programs, libraries and their settings, which every child may read. */
  readonly systemPaths: readonly string[];
}

/** A command that starts a confined child. */
export interface Launch {
  readonly path: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /**
   * What descriptor 3 is for. `lifeline`: while this process holds the other end of the pipe, the child lives. `pid`: the
   * sandbox writes there, as JSON, which pid the program has.
   */
  readonly pipe: 'lifeline' | 'pid' | null;
}

/** A decoder has 3 files, its source and a few libraries open. */
const MAX_OPEN_FILES = 256;
/** Exit code of the launcher itself. */
const LAUNCH_FAILED = 125;

/**
 * Returns the command that starts ffmpeg as a reader of media from strangers: with its own environment, limits and sandbox,
 * and so that it ends when this process, or the thread that starts it, does.
 *
 * @param plainArgs - of ffmpeg, without the limit of the pictures' size, which is added.
 */
export function confinedReader(ffmpeg: Ffmpeg, plainArgs: readonly string[], access: Access): Launch {
  const args = boundPictures(plainArgs, ffmpeg.confinement.maxPixels);
  const { environment, networkEnvironment, shell, setpriv, memoryBytes } = ffmpeg.confinement;
  const childEnvironment = access.network === true ? { ...environment, ...networkEnvironment } : environment;
  if (shell === null) return { path: ffmpeg.path, args, environment: childEnvironment, pipe: null };
  const sandbox = sandboxFor(ffmpeg.confinement, access);
  const isWatched = setpriv === null && sandbox?.kind !== 'bwrap';
  const limits = [
    ...limit('n', MAX_OPEN_FILES),
    ...(access.writes === undefined ? limit('f', 0) : []),
    ...(memoryBytes === null || access.usesHardware === true ? [] : limit('d', Math.floor(memoryBytes / 1024))),
    ...(access.cpuSeconds === undefined ? [] : limit('t', access.cpuSeconds)),
  ];
  const script = [
    // The signal of a parent that died before it was asked for never comes.
    `[ "$PPID" = ${process.pid} ] || exit ${LAUNCH_FAILED}`,
    ...limit('c', 0),
    ...limits,
    isWatched ? `${WATCHER}\nexec "$@" 3<&-` : 'exec "$@"',
  ].join('\n');
  const command = [
    ...(setpriv === null ? [] : [setpriv, '--pdeathsig', 'KILL']),
    // A bubblewrap that is setuid root would not start; it sets the flag itself.
    ...(setpriv === null || sandbox?.kind === 'bwrap' ? [] : ['--no-new-privs']),
    ...[shell, '-c', script, 'sh'],
    ...sandboxPrefix(ffmpeg, sandbox, access),
    ...[ffmpeg.path, ...args],
  ];
  const pipe = sandbox?.kind === 'bwrap' ? 'pid' : isWatched ? 'lifeline' : null;
  return { path: command[0]!, args: command.slice(1), environment: childEnvironment, pipe };
}

/**
 * Adds to each input the limit for the size of its pictures. ffmpeg checks it when it has read the size, before it allocates
 * memory for the picture.
 */
function boundPictures(args: readonly string[], maxPixels: number): string[] {
  return args.flatMap((arg) => (arg === '-i' ? ['-max_pixels', String(maxPixels), arg] : [arg]));
}

/**
 * Returns the command that starts ffmpeg to encode pictures that this process writes to its input: with its own environment and
 * without core dumps. It ends when its input closes, also if this process is killed, and completes its file first.
 */
export function confinedWriter({ path, confinement }: Ffmpeg, args: readonly string[]): Launch {
  const { environment, shell } = confinement;
  // Without the shell in between, a program that is missing is an error of the start.
  if (shell === null || !isExecutable(path)) return { path, args, environment, pipe: null };
  const script = [...limit('c', 0), 'exec "$@"'].join('\n');
  return { path: shell, args: ['-c', script, 'sh', path, ...args], environment, pipe: null };
}

/**
 * A process of the child's group that kills the group when the pipe closes. It ignores the signals that ask ffmpeg to end, as
 * ffmpeg may not follow them.
 */
const WATCHER = `{ trap '' TERM INT HUP; read -r _ <&3; kill -KILL 0; } </dev/null >/dev/null 2>&1 &`;

/** A limit that is lower already stays. */
function limit(flag: string, value: number): string[] {
  return [`ulimit -${flag} ${value} 2>/dev/null`];
}

/** A hardware decoder opens devices and maps much memory, which no sandbox was tried with: it must be asked for. */
export function sandboxFor({ sandbox, isSandboxNamed }: Confinement, { usesHardware }: Access): Sandbox | null {
  return usesHardware === true && !isSandboxNamed ? null : sandbox;
}

function sandboxPrefix({ path, confinement }: Ffmpeg, sandbox: Sandbox | null, access: Access): string[] {
  if (sandbox === null) return [];
  const { systemPaths, networkEnvironment } = confinement;
  const { reads = [], network = false, devices = [], usesHardware = false, writes } = access;
  const certificates = Object.entries(networkEnvironment).flatMap(([name, value]) =>
    name.startsWith('SSL_') ? [value] : [],
  );
  const view: SandboxView = {
    programs: [...systemPaths, resolve(path)],
    reads: [...(network ? [...NETWORK_PATHS, ...certificates] : []), ...reads].map((each) => resolve(each)),
    devices: [...PLAIN_DEVICES, ...devices, ...(usesHardware ? HARDWARE_DEVICES : [])],
    kernel: usesHardware ? ['/proc', '/sys'] : [],
    writes: writes === undefined ? [] : [resolve(writes)],
    network,
    folder: process.cwd(),
  };
  if (sandbox.kind === 'bwrap') return [sandbox.bwrap, ...bubblewrapPrefix(view)];
  return [sandbox.perl, '-e', LANDLOCK_SCRIPT, ...landlockRules(view)];
}

const PLAIN_DEVICES = ['/dev/null', '/dev/zero', '/dev/urandom', '/dev/random'];
const HARDWARE_DEVICES = [
  ...['/dev/dri', '/dev/nvidiactl', '/dev/nvidia-uvm', '/dev/nvidia-uvm-tools'],
  ...Array.from({ length: 16 }, (_, i) => `/dev/nvidia${i}`),
];
/** Names of hosts, and the authorities that certificates are verified against; not `/etc/ssl/private`. */
const NETWORK_PATHS = [
  ...['/etc/resolv.conf', '/etc/hosts', '/etc/host.conf', '/etc/nsswitch.conf', '/etc/gai.conf', '/etc/services'],
  ...['/etc/ssl/certs', '/etc/ssl/openssl.cnf', '/etc/ssl/cert.pem', '/etc/ca-certificates', '/etc/gnutls'],
  ...['/etc/pki/tls/certs', '/etc/pki/ca-trust', '/etc/crypto-policies'],
];
