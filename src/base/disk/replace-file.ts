import { randomUUID } from 'node:crypto';
import { open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Makes a file that appears complete or not at all, also after a power failure: it is written under a temporary name in the
 * same folder, synced to disk, then renamed. The last rename wins, so several processes may make the same file at once.
 *
 * @param write - writes the file to the path that it receives. If it rejects, nothing is left on disk.
 * @throws the system's error, or that of `write`.
 */
export async function replaceFile(path: string, write: (temporaryPath: string) => Promise<unknown>): Promise<void> {
  const temporaryPath = temporaryPathOf(path);
  try {
    await write(temporaryPath);
    await syncFile(temporaryPath);
    await moveFile(temporaryPath, path);
  } finally {
    await rm(temporaryPath, { force: true });
  }
}

/** Writes a whole file, as `replaceFile`. Its folder must exist. */
export function writeWholeFile(path: string, content: string | Uint8Array): Promise<void> {
  return replaceFile(path, (temporaryPath) => writeFile(temporaryPath, content));
}

/** Returns a path beside this one that nobody else uses, hidden on most systems. */
export function temporaryPathOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`);
}

/** Deletes what killed processes left of `replaceFile`. Only if no other process writes the file. Ignores what cannot be deleted. */
export async function removeTemporaries(path: string): Promise<void> {
  const folder = dirname(path);
  const names = await readdir(folder).catch(() => []);
  for (const name of names)
    if (name.startsWith(`.${basename(path)}.`) && name.endsWith('.tmp'))
      await rm(join(folder, name), { force: true }).catch(() => undefined);
}

/** Renames a file, and synchronises its new folder: a rename survives a power failure only after that. */
export async function moveFile(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncFolder(dirname(to));
}

/** Writes what the system still holds in memory of a file to disk. */
export async function syncFile(path: string): Promise<void> {
  // Windows requires write access for this; elsewhere a file may be read-only.
  const file = await open(path, process.platform === 'win32' ? 'r+' : 'r');
  await file.sync().finally(() => file.close());
}

/** Writes a folder's entries to disk. Ignored on systems that cannot do it. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
  } catch {
    // The file itself is already on the disk.
  }
}
