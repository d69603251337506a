import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { setupFailed } from './run-tool.ts';

/** Returns the name of a set-up's working folder, which is renamed to `folder` at the end. */
export function partialName(folder: string): string {
  return `${folder}.partial-${process.pid}`;
}

/**
 * Makes a folder whole or not at all: `make` fills a working folder, which then replaces `folder`.
 *
 * @throws SETUP_FAILED; then no partial files stay, and an earlier folder is as it was.
 */
export async function makeFolder<T>(folder: string, make: (partial: string) => Promise<T>): Promise<T> {
  const partial = partialName(folder);
  try {
    await mkdir(partial, { recursive: true });
    const made = await make(partial);
    await rm(folder, { recursive: true, force: true });
    await rename(partial, folder);
    return made;
  } catch (error) {
    if (error instanceof SightlineError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw setupFailed(code === 'ENOSPC' ? `the disk of ${dirname(folder)} is full` : message, error);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** Removes the working folders of set-ups whose process no longer runs. */
export async function removeAbandoned(home: string): Promise<void> {
  const names = existsSync(home) ? await readdir(home) : [];
  for (const name of names) {
    const pid = /\.partial-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(home, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** @throws SETUP_FAILED if the disk of a folder has less than `neededBytes` free. */
export async function requireSpace(
  folder: string,
  neededBytes: number,
  freeBytes: (folder: string) => Promise<number> = freeBytesOf,
): Promise<void> {
  const free = await freeBytes(folder);
  if (free >= neededBytes) return;
  throw setupFailed(
    `${dirname(folder)}: ${gigabytes(neededBytes)} are needed, ${gigabytes(free)} are free. Make room, or set ` +
      'SIGHTLINE_CACHE_DIR to a folder on another disk',
  );
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
