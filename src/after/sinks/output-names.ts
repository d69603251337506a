import { constants } from 'node:fs';
import { access, lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { compressionOf } from '../../base/disk/compression.ts';
import { diskFiles, type SinkFiles, stateOrNull } from './sink-files.ts';

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
  readonly files?: SinkFiles;
}

/**
 * Renames a finished file to its final name. An incomplete one keeps its partial name, unless earlier files are kept as well.
 *
 * @returns the path of the file now.
 */
export async function moveToFinalName({
  path,
  partialPath,
  isComplete,
  keepsEarlier,
  files = diskFiles,
}: NamingPlan): Promise<string> {
  if (!isComplete && !keepsEarlier) return partialPath;
  if (keepsEarlier && (await exists(path))) await keepNumbered(path, files);
  await move(partialPath, path, files);
  return path;
}

/** Explains in a sentence why a file has not got its final name. @param writtenPath - where it is. */
export function incompleteText(id: string, path: string, writtenPath: string): string {
  return `sink ${id}: the output is incomplete and stays in ${writtenPath}; ${path} was not written`;
}

/**
 * Renames the partial file of a crashed run to `NAME.recovered-N.EXT`.
 *
 * @returns the path of the file now.
 */
export async function keepRecovered(path: string, partialPath: string, files = diskFiles): Promise<string> {
  const target = await nextPath(path, 'recovered-', files);
  await move(partialPath, target, files);
  return target;
}

/** Checks early that a file can be replaced later. @throws the system's error if it cannot. */
export async function checkReplaceable(path: string): Promise<void> {
  const found = await stateOrNull(diskFiles, path);
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

/**
 * Renames a file to `NAME.N.EXT`, so that the numbers are in the order of time.
 *
 * @returns the path of the file now.
 */
export async function keepNumbered(path: string, files = diskFiles): Promise<string> {
  const target = await nextPath(path, '', files);
  await move(path, target, files);
  return target;
}

/** Renames a file within its folder, so that the new name survives a power failure. */
async function move(from: string, to: string, files: SinkFiles): Promise<void> {
  await files.rename(from, to);
  await files.syncFolder(dirname(to));
}

/** Returns the files `NAME.N.EXT` of a path, oldest first. */
export async function numberedFiles(path: string, files: SinkFiles): Promise<string[]> {
  return (await numbersOf(path, '', files)).map((n) => withMark(path, `${n}`));
}

/** Returns `NAME.<mark>N.EXT` with a number above all that exist. Removing old files does not change the order of the others. */
async function nextPath(path: string, mark: string, files: SinkFiles): Promise<string> {
  return withMark(path, `${mark}${((await numbersOf(path, mark, files)).at(-1) ?? 0) + 1}`);
}

async function numbersOf(path: string, mark: string, files: SinkFiles): Promise<number[]> {
  const [stem, extension] = splitName(path);
  const start = `${basename(stem)}.${mark}`;
  return (await files.list(dirname(path)))
    .filter((name) => name.startsWith(start) && name.endsWith(extension))
    .map((name) => name.slice(start.length, name.length - extension.length))
    .filter((text) => /^\d{1,15}$/.test(text))
    .map(Number)
    .sort((a, b) => a - b);
}

function withMark(path: string, mark: string): string {
  const [stem, extension] = splitName(path);
  return `${stem}.${mark}${extension}`;
}

function splitName(path: string): [stem: string, extension: string] {
  const last = extname(path);
  // A compressed file has two extensions: `.jsonl.gz`.
  const extension = compressionOf(path) === null ? last : `${extname(path.slice(0, -last.length))}${last}`;
  return [path.slice(0, path.length - extension.length), extension];
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
