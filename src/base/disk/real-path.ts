import { readlink, realpath } from 'node:fs/promises';
import { isAbsolute, relative, sep } from 'node:path';

/** Returns whether a path is a folder or file itself, or lies below it. Compares names only. */
export function isBelow(path: string, root: string): boolean {
  const fromRoot = relative(root, path);
  return fromRoot !== '..' && !fromRoot.startsWith(`..${sep}`) && !isAbsolute(fromRoot);
}

/** Returns the real paths of folders and files, links resolved; leaves out what does not exist. */
export async function realPaths(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(paths.map((path) => realpath(path).catch(() => null)));
  return found.filter((path) => path !== null);
}

/**
 * Returns whether a file lies below one of the folders.
 *
 * @param place - a real path: all links resolved.
 * @param roots - may contain links; folders that do not exist are ignored.
 */
export async function isBelowRoot(place: string, roots: readonly string[]): Promise<boolean> {
  return (await realPaths(roots)).some((root) => isBelow(place, root));
}

/** Returns the real path of an open file; null where the system does not tell it. */
export async function openedPath(fd: number): Promise<string | null> {
  return readlink(`/proc/self/fd/${fd}`).catch(() => null);
}
