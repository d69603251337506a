import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { type FileHandle, lstat, open, realpath, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { ErrorCode } from '../errors/error-codes.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { isBelow, openedPath } from './real-path.ts';

/** How a file is read that somebody else named: a user, a manifest, a data set, a client. */
export interface GivenFile {
  /** Code of every error. */
  readonly code: ErrorCode;
  /** Starts every message; the path if absent. */
  readonly as?: string;
  /** A larger file is refused before it is read. */
  readonly mostBytes: number;
  /** Real paths of the only folders and files that the file may be in, links resolved. Absent: anywhere. */
  readonly within?: readonly string[] | undefined;
  /** A folder above the file. Neither the file nor a folder between may be a link; the folder itself may. Absent: links are followed. */
  readonly noLinksBelow?: string;
}

export const MIB = 2 ** 20;
/** Most bytes of a file of each kind. */
export const MOST_BYTES = {
  /** Pipelines, manifests, class names, guards, certificates. */
  settings: 16 * MIB,
  /** The longest text that V8 can hold. */
  json: 0x1fff_ffe8,
  picture: 256 * MIB,
  /** The most that a protobuf, and so an ONNX file, can have. */
  model: 2 ** 31 - 1,
} as const;

/** How a file of a model is read. */
export const MODEL_FILE = { code: 'MODEL_INVALID', mostBytes: MOST_BYTES.model } as const satisfies GivenFile;

/** What `details.problem` of an error says. */
type GivenProblem = 'missing' | 'folder' | 'special' | 'link' | 'too-large' | 'outside' | 'unreadable';

/** A FIFO or a device is opened without waiting, and no terminal becomes this process's own. Windows lacks both. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/**
 * Opens a regular file that somebody else named. A FIFO, socket, device or folder is refused without opening it; one that
 * takes the file's place in the meantime is opened without waiting and refused then.
 *
 * @param access - `write`: the handle can write as well.
 * @returns the handle, which the caller closes, the size in bytes at this moment, at most `mostBytes`, and when it was changed.
 * @throws `code`, with a message that quotes nothing of the file, and `details.problem`, see `GivenProblem`.
 */
export async function openGiven(
  path: string,
  given: GivenFile,
  access: 'read' | 'write' = 'read',
): Promise<{ handle: FileHandle; size: number; mtimeMs: number }> {
  refuseName(path, given);
  let handle: FileHandle | null = null;
  try {
    const { noLinksBelow: root } = given;
    requireRegular(path, given, await (root === undefined ? stat(path) : lstat(path)));
    const flags = root === undefined ? FLAGS : FLAGS | (constants.O_NOFOLLOW ?? 0);
    handle = await open(path, access === 'write' ? flags | constants.O_RDWR : flags);
    const stats = await handle.stat();
    requireRegular(path, given, stats);
    if (root !== undefined && !(await isItself(path, handle.fd, root)))
      throw refusal(path, given, 'link', 'a folder of it is a link, expected folders themselves');
    if (given.within !== undefined && !(await isWithin(path, handle.fd, stats, given.within)))
      throw refusal(path, given, 'outside', 'it leads out of the folders that are allowed');
    return { handle, size: stats.size, mtimeMs: stats.mtimeMs };
  } catch (error) {
    await handle?.close();
    throw explained(path, given, error);
  }
}

/**
 * Reads a whole file that somebody else named; see `openGiven`. Bytes that are added meanwhile are left out. A file whose size
 * the system does not state, as in `/proc`, is empty.
 *
 * @throws as `openGiven`
 */
export async function readGiven(path: string, given: GivenFile): Promise<Buffer> {
  const { handle, size } = await openGiven(path, given);
  try {
    const bytes = Buffer.allocUnsafeSlow(size);
    let length = 0;
    while (length < size) {
      const { bytesRead } = await handle.read(bytes, length, size - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } catch (error) {
    throw explained(path, given, error);
  } finally {
    await handle.close();
  }
}

/** Reads a file of a model: a network, its weights, or what was compiled of it. @throws MODEL_INVALID */
export function readModel(path: string): Promise<Buffer> {
  return readGiven(path, MODEL_FILE);
}

/** Hashes a whole file that somebody else named, hex sha256, a part at a time. @throws as `openGiven` */
export async function hashGiven(path: string, given: GivenFile): Promise<string> {
  const { handle, size } = await openGiven(path, given);
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(Math.min(MIB, size));
    for (let at = 0; at < size; ) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, size - at), at);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hash.digest('hex');
  } catch (error) {
    throw explained(path, given, error);
  } finally {
    await handle.close();
  }
}

/**
 * Says which recording a file is, hex sha256: by its size, its first and its last megabyte, whatever its name. Null if it cannot be read, or is
 * no regular file.
 */
export async function recordingDigest(path: string): Promise<string | null> {
  const opened = await openGiven(path, { code: 'SOURCE_NOT_FOUND', mostBytes: Number.MAX_SAFE_INTEGER }).catch(
    () => null,
  );
  if (opened === null) return null;
  const { handle, size } = opened;
  try {
    const hash = createHash('sha256').update(`${size}\n`);
    const buffer = Buffer.allocUnsafe(Math.min(MIB, size));
    for (const at of [0, size - buffer.length]) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest('hex');
  } catch {
    return null;
  } finally {
    await handle.close();
  }
}

/** As `readGiven`, in UTF-8. */
export async function readGivenText(path: string, given: GivenFile): Promise<string> {
  return (await readGiven(path, given)).toString('utf8');
}

/** As `readGiven`, for what is read before anything else runs. Ignores `within`. */
export function readGivenSync(path: string, given: Omit<GivenFile, 'within'>): Buffer {
  refuseName(path, given);
  let descriptor: number | null = null;
  try {
    requireRegular(path, given, statSync(path));
    descriptor = openSync(path, FLAGS);
    const stats = fstatSync(descriptor);
    requireRegular(path, given, stats);
    const bytes = Buffer.allocUnsafeSlow(stats.size);
    let length = 0;
    while (length < stats.size) {
      const bytesRead = readSync(descriptor, bytes, length, stats.size - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } catch (error) {
    throw explained(path, given, error);
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

/** As `readGivenSync`, in UTF-8. */
export function readGivenTextSync(path: string, given: Omit<GivenFile, 'within'>): string {
  return readGivenSync(path, given).toString('utf8');
}

/** Returns whether an error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof SightlineError && error.details.problem === ('missing' satisfies GivenProblem);
}

function refuseName(path: string, given: GivenFile): void {
  if (path.includes('\0')) throw refusal(path, given, 'missing', 'its name holds a NUL character');
}

function requireRegular(path: string, given: GivenFile, stats: Stats): void {
  if (stats.isDirectory()) throw refusal(path, given, 'folder', 'it is a folder, expected a file');
  if (!stats.isFile())
    throw refusal(
      path,
      given,
      stats.isSymbolicLink() ? 'link' : 'special',
      `it is a ${kindOf(stats)}, expected a regular file`,
    );
  if (stats.size > given.mostBytes)
    throw refusal(
      path,
      given,
      'too-large',
      `it has ${sizeText(stats.size)}, at most ${sizeText(given.mostBytes)} are read`,
    );
}

/** Returns whether a path below a folder leads there without a link. The folder itself may be behind one. */
export async function isFolderItself(folder: string, root: string): Promise<boolean> {
  return (await realpath(folder)) === join(await realpath(root), relative(root, folder));
}

/** Whether an open file lies in the folder that its path names. Its own name may be another one by now: recordings are renamed. */
async function isItself(path: string, fd: number, root: string): Promise<boolean> {
  const opened = (await openedPath(fd)) ?? (await realpath(path));
  return dirname(opened) === join(await realpath(root), relative(root, dirname(path)));
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'link';
  if (stats.isFIFO()) return 'pipe';
  return stats.isSocket() ? 'socket' : 'device';
}

/** By the descriptor where the system tells its path, so that no folder can be exchanged in between; else by path and inode. */
async function isWithin(path: string, fd: number, stats: Stats, within: readonly string[]): Promise<boolean> {
  const opened = await openedPath(fd);
  if (opened !== null) return within.some((root) => isBelow(opened, root));
  const real = await realpath(path);
  const again = await stat(real);
  return again.ino === stats.ino && again.dev === stats.dev && within.some((root) => isBelow(real, root));
}

const REASONS: Readonly<Record<string, readonly [GivenProblem, string]>> = {
  ENOENT: ['missing', 'no such file'],
  ENOTDIR: ['missing', 'no such file'],
  ENAMETOOLONG: ['missing', 'no such file: the name is too long'],
  ELOOP: ['unreadable', 'a link that leads to itself, or that may not be followed'],
  EACCES: ['unreadable', 'permission denied'],
  EPERM: ['unreadable', 'permission denied'],
  ENXIO: ['special', 'it is a device, expected a regular file'],
};

function explained(path: string, given: GivenFile, error: unknown): SightlineError {
  if (error instanceof SightlineError) return error;
  const { code = String(error) } = error as NodeJS.ErrnoException;
  const [problem, why] = REASONS[code] ?? ['unreadable', `it cannot be read (${code})`];
  return refusal(path, given, problem, why, error);
}

function refusal(
  path: string,
  { code, as = printable(path) }: GivenFile,
  problem: GivenProblem,
  why: string,
  cause?: unknown,
): SightlineError {
  return new SightlineError(code, `${as}: ${why}`, { path: printable(path), problem }, { cause });
}

/** A name from outside may hold line breaks, or commands for a terminal. */
function printable(path: string): string {
  return /\p{Cc}/u.test(path) ? JSON.stringify(path) : path;
}

function sizeText(bytes: number): string {
  if (bytes >= 1000 * MIB) return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  return bytes >= MIB ? `${Math.round(bytes / MIB)} MiB` : `${bytes} bytes`;
}
