import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Compression, compress, compressedNothing, isCompressed } from '../../base/disk/compression.ts';
import { keepNumbered } from './output-names.ts';
import { diskFiles, type FileState, type SinkFile, type SinkFiles, stateOrNull } from './sink-files.ts';

const NEW_LINE = 0x0a;
const READ_BYTES = 64 * 1024;
/** A longer last line without a line break is removed without being parsed. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** Pause between attempts to write to a full pipe. */
const FULL_PIPE_MS = 5;

export interface LineKind {
  /** Characters that a file of this kind can begin with. Guards against appending to, say, a video named by mistake. */
  readonly firstCharacters: string;
  /** Written to an empty file first; whole lines. Not for compressed files. */
  readonly header?: string;
  /** Returns whether a last line without a line break is complete. */
  readonly isWhole: (line: string) => boolean;
  readonly compression?: Compression | null;
}

/** Files of JSON objects, one per line. */
export const JSON_LINES = { firstCharacters: '{', isWhole: isJsonObject } satisfies LineKind;

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

interface OpenedFile {
  readonly path: string;
  readonly handle: SinkFile;
  /** False for pipes and devices. */
  readonly isRegular: boolean;
}

/**
 * A file of lines that only grows, and always ends with a complete one: what a crash or a full disk leaves of a line is removed when
 * the file is opened and after a failed write.
 *
 * gzip (RFC 1952, 2.2) and zstd (RFC 8878, 3) define that compressed parts written one after the other are one file: each `append`
 * adds one such member, which holds whole lines. After a crash all members but the last can be read. A compressed file is never
 * continued by another run, so nothing has to be repaired.
 */
export class LineFile implements LineTarget {
  readonly path: string;
  readonly isRegular: boolean;
  readonly #handle: SinkFile;
  readonly #files: SinkFiles;
  readonly #compression: Compression | null;
  #isClosed = false;
  /** Size before a failed write, after which something may have to be removed; null after any other. */
  #sizeBefore: number | null = null;
  #cutBytes = 0;

  private constructor({ path, handle, isRegular }: OpenedFile, compression: Compression | null, files: SinkFiles) {
    this.path = path;
    this.#handle = handle;
    this.isRegular = isRegular;
    this.#compression = compression;
    this.#files = files;
  }

  /**
   * Opens a file, and creates it if it is missing. A plain one is continued, and its end repaired. An earlier one that is compressed is
   * kept as `NAME.N.EXT`.
   *
   * @throws the system's error, or an Error without a code if the file is of another kind; ENXIO for a pipe without a reader.
   */
  static async open(
    path: string,
    { firstCharacters, header = '', isWhole, compression = null }: LineKind,
    files: SinkFiles = diskFiles,
  ): Promise<LineFile> {
    if (compression !== null) await keepEarlier(path, compression, files);
    const file = new LineFile(await openToAppend(path, files), compression, files);
    if (!file.isRegular) return file;
    try {
      if (compression === null) {
        await file.#checkKind(firstCharacters);
        await file.#repair(isWhole);
      }
      // An empty file is not a valid compressed one.
      const start = compression === null ? Buffer.from(header) : compressedNothing(compression);
      if (start.length > 0 && (await file.size()) === 0) await file.#writeAll(start);
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  /** Takes over a new, empty file that somebody else has opened. */
  static of(path: string, handle: SinkFile): LineFile {
    return new LineFile({ path, handle, isRegular: true }, null, diskFiles);
  }

  /** Bytes of an incomplete last line that were removed when the file was opened. */
  get cutBytes(): number {
    return this.#cutBytes;
  }

  async append(lines: Uint8Array): Promise<AppendOutcome> {
    let before: number | null = null;
    try {
      const bytes = this.#compression === null ? lines : await compress(lines, this.#compression);
      if (this.isRegular) {
        await this.#cut();
        before = await this.size();
      }
      await this.#writeAll(bytes);
      return { keptBytes: lines.length, error: null };
    } catch (error) {
      if (before === null) return { keptBytes: 0, error: error as Error };
      this.#sizeBefore = before;
      // The complete lines are in the file even if the incomplete one could not be removed.
      const end = await this.#wholeEnd(before).catch(() => before!);
      await this.#cut().catch(() => undefined);
      return { keptBytes: Math.max(0, end - before), error: error as Error };
    }
  }

  /** Replaces the last bytes of the file. */
  async replaceEnd(bytes: number, text: string): Promise<void> {
    await this.#handle.truncate((await this.size()) - bytes);
    await this.#writeAll(Buffer.from(text));
  }

  /** Returns the last bytes of the file, or all if it is shorter. */
  async end(bytes: number): Promise<string> {
    const size = await this.size();
    return (await this.#read(Math.max(0, size - bytes), Math.min(size, bytes))).toString('latin1');
  }

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

  async #checkKind(firstCharacters: string): Promise<void> {
    const first = (await this.#read(0, 1)).toString('latin1');
    // A power failure can leave zeros in place of appended data.
    if (first === '' || first === '\0' || firstCharacters.includes(first)) return;
    throw new Error(
      `the file has another format: expected it to begin with ${firstCharacters}, found ${JSON.stringify(first)}; choose another path`,
    );
  }

  /** Completes or removes the last line: if only its line break is missing, adds it; otherwise truncates the line. */
  async #repair(isWhole: (line: string) => boolean): Promise<void> {
    const size = await this.size();
    const lineEnd = await this.#lineEnd();
    if (lineEnd === size) return;
    const isShort = size - lineEnd <= MAX_LINE_BYTES;
    if (isShort && isWhole((await this.#read(lineEnd, size - lineEnd)).toString('utf8'))) {
      await this.#writeAll(Buffer.of(NEW_LINE));
      return;
    }
    await this.#handle.truncate(lineEnd);
    this.#cutBytes = size - lineEnd;
  }

  /** Removes what a failed write has left of a line or a member. */
  async #cut(): Promise<void> {
    if (this.#sizeBefore === null) return;
    const end = await this.#wholeEnd(this.#sizeBefore);
    // Log rotation may have emptied the file meanwhile; truncating must not make it longer.
    if ((await this.size()) > end) await this.#handle.truncate(end);
    this.#sizeBefore = null;
  }

  /** Returns the offset at which the last complete line or member ends. @param sizeBefore - of the file before the last write. */
  async #wholeEnd(sizeBefore: number): Promise<number> {
    return this.#compression === null ? this.#lineEnd() : sizeBefore;
  }

  async #lineEnd(): Promise<number> {
    for (let end = await this.size(); end > 0; ) {
      const start = Math.max(0, end - READ_BYTES);
      const found = (await this.#read(start, end - start)).lastIndexOf(NEW_LINE);
      if (found !== -1) return start + found + 1;
      end = start;
    }
    return 0;
  }

  /** Returns fewer bytes at the end of the file. */
  async #read(position: number, bytes: number): Promise<Buffer> {
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
  async #writeAll(bytes: Uint8Array): Promise<void> {
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

/** Opens a file to append to, and creates it if it is missing. */
async function openToAppend(path: string, files: SinkFiles): Promise<OpenedFile> {
  const before = await stateOrNull(files, path);
  if (before !== null && !before.isFile() && !before.isDirectory()) {
    // Without O_NONBLOCK, opening a pipe waits for a reader, and takes a thread of Node's pool with it until the process ends.
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;
    return { path, handle: await files.open(path, flags), isRegular: false };
  }
  const handle = await files.open(path, 'a+');
  try {
    if (before === null) await files.syncFolder(dirname(path));
  } catch (error) {
    await handle.close();
    throw error;
  }
  return { path, handle, isRegular: true };
}

/** Puts a compressed file of an earlier run aside. @throws Error if it is of another kind: it may have been named by mistake. */
async function keepEarlier(path: string, compression: Compression, files: SinkFiles): Promise<void> {
  const before = await stateOrNull(files, path);
  if (before?.isFile() !== true || before.size === 0) return;
  const file = await files.open(path, 'r');
  const first = new Uint8Array(4);
  const { bytesRead } = await file.read(first, 0, first.length, 0).finally(() => file.close());
  // A power failure can leave zeros in place of appended data, and a crash fewer than four bytes.
  const isOther = bytesRead === first.length && first.some((byte) => byte !== 0) && !isCompressed(first, compression);
  if (isOther) throw new Error(`the file has another format: expected ${compression}; choose another path`);
  await keepNumbered(path, files);
}

/** Returns the size of a file of this kind without lines. */
export function headerBytesOf({ header, compression }: LineKind): number {
  return compression == null ? (header?.length ?? 0) : compressedNothing(compression).length;
}

/** Returns whether a text is a complete JSON object. A truncated object never is. */
export function isJsonObject(text: string): boolean {
  if (!text.startsWith('{')) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
