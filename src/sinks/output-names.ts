import { constants } from 'node:fs';
import { access, lstat, open, realpath, rename, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';

/** `NAME.partial.EXT`: where a result grows that gets its own name when it is complete. */
export function partialPathOf(path: string): string {
  return withMark(path, 'partial');
}

/** How a file that grew under its partial name gets its own. */
export interface NamingPlan {
  readonly path: string;
  readonly partialPath: string;
  /** The inputs were read to their end; otherwise the file is a part of what was asked for. */
  readonly isComplete: boolean;
  /** A file of an earlier run is kept under a number; otherwise a complete one replaces it. */
  readonly keepsEarlier: boolean;
}

/**
 * Gives a finished file its own name. A part of what was asked for never replaces an earlier file: it stays where it is.
 *
 * @returns where the file is now.
 */
export async function takeName({ path, partialPath, isComplete, keepsEarlier }: NamingPlan): Promise<string> {
  if (await isThere(path)) {
    if (keepsEarlier) await rename(path, await freePath(path, ''));
    else if (!isComplete) return partialPath;
  }
  await rename(partialPath, path);
  await syncFolder(dirname(path));
  return path;
}

/**
 * Moves what a crashed run left to `NAME.recovered-N.EXT`, the first that is free.
 *
 * @returns where it is now.
 */
export async function keepRecovered(path: string, partialPath: string): Promise<string> {
  const target = await freePath(path, 'recovered-');
  await rename(partialPath, target);
  await syncFolder(dirname(path));
  return target;
}

/** Finds what would keep a file from being replaced at the end. @throws the error of the system. */
export async function checkReplaceable(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (found === null) return;
  if (found.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
  await access(path, constants.W_OK);
}

/**
 * Pipes and devices are written to directly: nothing can take their name. So is `/dev/stdout`, wherever it leads: a file that
 * took its place would not be the one that the shell has opened.
 */
export async function isDevice(path: string): Promise<boolean> {
  if (/^\/(?:dev|proc)\//.test(resolve(path))) return true;
  const found = await stat(path).catch(() => null);
  return found !== null && !found.isFile() && !found.isDirectory();
}

/** The file that a path leads to, also where it does not exist yet: one name for all links to it. */
export async function resolveOutput(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return join(await realpath(dirname(path)), basename(path));
  }
}

/** A rename is only safe from a power cut once its folder is written. Not every system and file system can do that. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
  } catch {
    // The file itself is on the disk.
  }
}

/** `NAME.<mark>1.EXT`, or the next number that no file has. */
async function freePath(path: string, mark: string): Promise<string> {
  for (let n = 1; ; n++) {
    const candidate = withMark(path, `${mark}${n}`);
    if (!(await isThere(candidate))) return candidate;
  }
}

function withMark(path: string, mark: string): string {
  const extension = extname(path);
  return `${path.slice(0, path.length - extension.length)}.${mark}${extension}`;
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}
