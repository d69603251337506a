import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { diskFiles, type FileState, type SinkFile, type SinkFiles, stateOrNull } from './sink-files.ts';

/** Pause between attempts to write to a full pipe. */
const FULL_PIPE_MS = 5;

export interface AppendOutcome {
  /** Bytes of the text that are now in the file; they end with a line break. */
  readonly keptBytes: number;
  /** Why not all bytes were written; null if they were. */
  readonly error: Error | null;
}

/** A destination of lines that only grows. */
export interface LineTarget {
  readonly path: string;
  /** False for pipes, devices and streams, which cannot be truncated, synchronised or rotated. */
  readonly isRegular: boolean;
  /** Appends whole lines. If that fails, no incomplete line remains. */
  append(lines: Uint8Array): Promise<AppendOutcome>;
  /** Size, and when it was written last. */
  state(): Promise<Pick<FileState, 'size' | 'mtimeMs'>>;
  /** Flushes everything written to the disk, so that it survives a power failure. */
  sync(): Promise<void>;
  /** Returns whether the file was moved or removed from its path, as log rotation does. */
  isMoved(): Promise<boolean>;
  /** Closes the file, and ends a pending `append` to a pipe. */
  close(): Promise<void>;
}

export interface OpenedFile {
  readonly path: string;
  readonly handle: SinkFile;
  /** False for pipes and devices. */
  readonly isRegular: boolean;
  readonly files: SinkFiles;
}

/** Opens a file to append to, and creates it if it is missing. @throws the system's error; ENXIO for a pipe without a reader. */
export async function openToAppend(path: string, files: SinkFiles = diskFiles): Promise<OpenedFile> {
  const before = await stateOrNull(files, path);
  if (before !== null && !before.isFile() && !before.isDirectory()) {
    // Without O_NONBLOCK, opening a pipe waits for a reader, and takes a thread of Node's pool with it until the process ends.
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;
    return { path, handle: await files.open(path, flags), isRegular: false, files };
  }
  const handle = await files.open(path, 'a+');
  try {
    if (before === null) await files.syncFolder(dirname(path));
  } catch (error) {
    await handle.close();
    throw error;
  }
  return { path, handle, isRegular: true, files };
}

/** A file of lines that only grows. How lines become bytes, and how an incomplete end is repaired, is up to its kinds. */
export abstract class AppendFile implements LineTarget {
  readonly path: string;
  readonly isRegular: boolean;
  readonly #handle: SinkFile;
  readonly #files: SinkFiles;
  #isClosed = false;

  protected constructor({ path, handle, isRegular, files }: OpenedFile) {
    this.path = path;
    this.#handle = handle;
    this.#files = files;
    this.isRegular = isRegular;
  }

  abstract append(lines: Uint8Array): Promise<AppendOutcome>;

  state(): Promise<FileState> {
    return this.#handle.stat();
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async sync(): Promise<void> {
    if (!this.isRegular) return;
    await this.#handle.datasync().catch((error: NodeJS.ErrnoException) => {
      // Some network and user-space file systems do not support it.
      if (error.code !== 'EINVAL' && error.code !== 'ENOSYS' && error.code !== 'ENOTSUP') throw error;
    });
  }

  async isMoved(): Promise<boolean> {
    if (!this.isRegular) return false;
    const [own, found] = [await this.#handle.stat(), await stateOrNull(this.#files, this.path)];
    return found === null || found.ino !== own.ino || found.dev !== own.dev;
  }

  close(): Promise<void> {
    this.#isClosed = true;
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

  /** Loops, because a write to an almost full disk or pipe succeeds in part and only the next call fails. */
  protected async writeAll(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      try {
        written += (await this.#handle.write(bytes, written, bytes.length - written, null)).bytesWritten;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || this.#isClosed) throw error;
        await sleep(FULL_PIPE_MS);
      }
    }
  }
}
