import { constants } from 'node:fs';
import { access, lstat, realpath, rename, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { compressionOf } from '../disk/compression.ts';
import { moveFile } from '../disk/replace-file.ts';

/** Returns `NAME.partial.EXT`, the name of a result file until it is complete. */
export function partialPathOf(path: string): string {
  return withMark(path, 'partial');
}

/** How a file is renamed from its partial to its final name. */
export interface NamingPlan {
  readonly path: string;
  readonly partialPath: string;
  /** True if all inputs were read to their end; otherwise the file holds only a part of the results. */
  readonly isComplete: boolean;
  /** True to keep the file of an earlier run under a numbered name; otherwise a complete file replaces it. */
  readonly keepsEarlier: boolean;
}

/**
 * Renames a finished file to its final name. An incomplete one never replaces an earlier file: it keeps its partial name.
 *
 * @returns the path of the file now.
 */
export async function moveToFinalName({ path, partialPath, isComplete, keepsEarlier }: NamingPlan): Promise<string> {
  if (await exists(path)) {
    if (keepsEarlier) await rename(path, await freePath(path, ''));
    else if (!isComplete) return partialPath;
  }
  await moveFile(partialPath, path);
  return path;
}

/**
 * Renames the partial file of a crashed run to `NAME.recovered-N.EXT`, with the first free number.
 *
 * @returns the path of the file now.
 */
export async function keepRecovered(path: string, partialPath: string): Promise<string> {
  const target = await freePath(path, 'recovered-');
  await moveFile(partialPath, target);
  return target;
}

/** Checks early that a file can be replaced later. @throws the system's error if it cannot. */
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
 * Returns whether a path is written to directly instead of being replaced at the end: a pipe, a device, or anything in
 * `/dev` or `/proc`. `/dev/stdout` may lead to a regular file, but a replacement would not be the file that the shell has
 * opened.
 */
export async function isDevice(path: string): Promise<boolean> {
  if (/^\/(?:dev|proc)\//.test(resolve(path))) return true;
  const found = await stat(path).catch(() => null);
  return found !== null && !found.isFile() && !found.isDirectory();
}

/** Resolves links, also for a file that does not exist yet, so that all links to a file give one path. */
export async function resolveOutput(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return join(await realpath(dirname(path)), basename(path));
  }
}

/** Returns `NAME.<mark>N.EXT` with the first number, from 1, that is free. */
async function freePath(path: string, mark: string): Promise<string> {
  for (let n = 1; ; n++) {
    const candidate = withMark(path, `${mark}${n}`);
    if (!(await exists(candidate))) return candidate;
  }
}

function withMark(path: string, mark: string): string {
  const last = extname(path);
  // A compressed file has two extensions: `.jsonl.gz`.
  const extension = compressionOf(path) === null ? last : `${extname(path.slice(0, -last.length))}${last}`;
  return `${path.slice(0, path.length - extension.length)}.${mark}${extension}`;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}
