import { dirname } from 'node:path';
import { SightlineError } from '../../base/errors/sightline-error.ts';

/** Reason and advice, by the code of the system's error. */
const ADVICE: Readonly<Record<string, (path: string) => string>> = {
  EMFILE: () => 'this process has too many open files; raise its limit (ulimit -n)',
  ENFILE: () => 'the system has too many open files; raise its limit (fs.file-max)',
  ENOSPC: () => 'no space is left on the disk; free some or write elsewhere',
  EDQUOT: () => 'the disk quota is used up; free some space or write elsewhere',
  EACCES: () => 'permission was denied; check the rights of the file and its folder',
  EPERM: () => 'the system does not permit it; check the rights of the file and its folder',
  EROFS: () => 'the file system is read-only; write elsewhere',
  ENOENT: (path) => `the folder ${dirname(path)} does not exist; create it first`,
  ENOTDIR: (path) => `a part of ${dirname(path)} is a file and not a folder; choose another path`,
  EISDIR: () => 'it is a folder; name a file in it',
  EPIPE: () => 'the program that read it has ended',
  ENXIO: () => 'no program reads this pipe; start one',
  EIO: () => 'the disk reports an error; look at the log of the system',
  ESTALE: () => 'the network disk was unmounted or replaced; mount it again',
  ETIMEDOUT: () => 'it does not respond; check the disk, or the program that reads it',
};

/**
 * Creates the SINK_FAILED error of a file.
 *
 * @param lostResults - results that are not in the file, if already known.
 * @param action - what failed.
 */
export function fileFailure(
  id: string,
  path: string,
  cause: Error,
  lostResults?: number,
  action: 'read' | 'write' = 'write',
): SightlineError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  const reason = ADVICE[code]?.(path) ?? cause.message;
  const name = path === '-' ? 'standard output' : path;
  const lost = lostResults === undefined ? '' : `. ${countOf(lostResults)} lost`;
  return new SightlineError(
    'SINK_FAILED',
    `sink ${id}: cannot ${action} ${name}: ${reason}${code === '' ? '' : ` (${code})`}${lost}`,
    { sink: id, path, cause: code, ...(lostResults === undefined ? {} : { lostResults }) },
    { cause },
  );
}

/** Creates the error of a file operation that does not end. */
export function hangFailure(ms: number): Error {
  return Object.assign(new Error(`no answer within ${ms / 1000} s`), { code: 'ETIMEDOUT' });
}

/** Returns `1 result was`, `2 results were`. */
export function countOf(results: number, noun = 'result'): string {
  return results === 1 ? `1 ${noun} was` : `${results} ${noun}s were`;
}
