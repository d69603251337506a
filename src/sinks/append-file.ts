import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from '../disk/replace-file.ts';

export interface AppendOutcome {
  /** Bytes of the text that are now in the file; they end with a line break. */
  readonly keptBytes: number;
  /** Why not all bytes were written; null if they were. */
  readonly error: Error | null;
}

export interface OpenedFile {
  readonly path: string;
  readonly handle: FileHandle;
  /** False for pipes and devices, which cannot be truncated or synchronised. */
  readonly isRegular: boolean;
}

/** Opens a file to append to, and creates it if it is missing. @throws the system's error. */
export async function openToAppend(path: string): Promise<OpenedFile> {
  const before = await statOrNull(path);
  if (before !== null && !before.isFile() && !before.isDirectory())
    return { path, handle: await open(path, constants.O_WRONLY | constants.O_APPEND), isRegular: false };
  const handle = await open(path, 'a+');
  try {
    if (before === null) await syncFolder(dirname(path));
  } catch (error) {
    await handle.close();
    throw error;
  }
  return { path, handle, isRegular: true };
}

/** A file of lines that only grows. How lines become bytes, and how an incomplete end is repaired, is up to its kinds. */
export abstract class AppendFile {
  readonly path: string;
  readonly isRegular: boolean;
  /** What an incomplete end of the file is called in messages. */
  abstract readonly unit: string;
  readonly #handle: FileHandle;
  protected cut = 0;

  protected constructor({ path, handle, isRegular }: OpenedFile) {
    this.path = path;
    this.#handle = handle;
    this.isRegular = isRegular;
  }

  /** Bytes of an incomplete end that were removed when the file was opened. */
  get cutBytes(): number {
    return this.cut;
  }

  /** Appends whole lines. If that fails, no incomplete line remains. */
  abstract append(lines: Uint8Array): Promise<AppendOutcome>;

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  /** Flushes everything written to the disk, so that it survives a power failure. */
  async sync(): Promise<void> {
    if (!this.isRegular) return;
    await this.#handle.datasync().catch((error: NodeJS.ErrnoException) => {
      // Some network and user-space file systems do not support it.
      if (error.code !== 'EINVAL' && error.code !== 'ENOSYS' && error.code !== 'ENOTSUP') throw error;
    });
  }

  /** Returns whether the file was moved or removed from its path, as log rotation does. */
  async isMoved(): Promise<boolean> {
    if (!this.isRegular) return false;
    const [own, found] = [await this.#handle.stat(), await statOrNull(this.path)];
    return found === null || found.ino !== own.ino || found.dev !== own.dev;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  protected truncate(bytes: number): Promise<void> {
    return this.#handle.truncate(bytes);
  }

  /** Returns fewer bytes at the end of the file. */
  protected async read(position: number, bytes: number): Promise<Buffer> {
    const buffer = Buffer.alloc(bytes);
    let read = 0;
    while (read < bytes) {
      const { bytesRead } = await this.#handle.read(buffer, read, bytes - read, position + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return buffer.subarray(0, read);
  }

  /** Loops, because a write to an almost full disk succeeds in part and only the next call fails. */
  protected async writeAll(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      written += (await this.#handle.write(bytes, written, bytes.length - written, null)).bytesWritten;
    }
  }
}

async function statOrNull(path: string) {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}
