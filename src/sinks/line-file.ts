import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from '../disk/replace-file.ts';

const NEW_LINE = 0x0a;
const BLOCK_BYTES = 64 * 1024;
/** A longer last line without a line break is removed without being parsed. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

export interface LineFileOptions {
  /** Characters that a file of this kind can begin with. Guards against appending to, say, a video named by mistake. */
  readonly firstCharacters: string;
  /** Written to an empty file first; whole lines. */
  readonly header?: string;
  /** Returns whether a last line without a line break is complete. */
  readonly isWhole: (line: string) => boolean;
}

export interface AppendOutcome {
  /** Bytes of the text that are now in the file; they end with a line break. */
  readonly keptBytes: number;
  /** Why not all bytes were written; null if they were. */
  readonly error: Error | null;
}

/**
 * An append-only file of lines. Its last line is always complete: an incomplete one, left by a crash or a full disk, is
 * removed when the file is opened and after a failed write.
 */
export class LineFile {
  readonly path: string;
  /** False for pipes and devices, which cannot be truncated or synchronised. */
  readonly isRegular: boolean;
  readonly #handle: FileHandle;
  #cutBytes = 0;
  #mayEndIncomplete = false;

  private constructor(path: string, handle: FileHandle, isRegular: boolean) {
    this.path = path;
    this.#handle = handle;
    this.isRegular = isRegular;
  }

  /**
   * Opens a file, creates it if it is missing, and repairs its end.
   *
   * @throws the system's error, or an Error without a code if the file is of another kind.
   */
  static async open(path: string, { firstCharacters, header = '', isWhole }: LineFileOptions): Promise<LineFile> {
    const before = await statOrNull(path);
    if (before !== null && !before.isFile() && !before.isDirectory())
      return new LineFile(path, await open(path, constants.O_WRONLY | constants.O_APPEND), false);
    const file = new LineFile(path, await open(path, 'a+'), true);
    try {
      if (before === null) await syncFolder(dirname(path));
      await file.#checkKind(firstCharacters);
      await file.#repair(isWhole);
      if (header !== '' && (await file.size()) === 0) await file.#writeAll(Buffer.from(header));
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  /** Bytes of an incomplete last line that were removed when the file was opened. */
  get cutBytes(): number {
    return this.#cutBytes;
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  /** Appends whole lines. If that fails, no incomplete line remains. */
  async append(lines: Uint8Array): Promise<AppendOutcome> {
    if (!this.isRegular) return this.#appendToDevice(lines);
    let before: number | null = null;
    try {
      if (this.#mayEndIncomplete) await this.#cutIncompleteLine();
      before = await this.size();
      await this.#writeAll(lines);
      return { keptBytes: lines.length, error: null };
    } catch (error) {
      this.#mayEndIncomplete = true;
      if (before === null) return { keptBytes: 0, error: error as Error };
      await this.#cutIncompleteLine().catch(() => undefined);
      // The complete lines are in the file even if the incomplete one could not be removed.
      const kept = await this.#lineEnd().catch(() => before!);
      return { keptBytes: Math.max(0, kept - before), error: error as Error };
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

  async #checkKind(firstCharacters: string): Promise<void> {
    const first = (await this.#read(0, 1)).toString('latin1');
    // A power failure can leave zeros in place of appended data.
    if (first === '' || first === '\0' || firstCharacters.includes(first)) return;
    throw new Error(
      `the file holds something else: expected it to begin with ${firstCharacters}, found ${JSON.stringify(first)}; choose another path`,
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

  async #cutIncompleteLine(): Promise<void> {
    await this.#handle.truncate(await this.#lineEnd());
    this.#mayEndIncomplete = false;
  }

  /** Returns the offset at which the last complete line ends. */
  async #lineEnd(): Promise<number> {
    for (let end = await this.size(); end > 0; ) {
      const start = Math.max(0, end - BLOCK_BYTES);
      const found = (await this.#read(start, end - start)).lastIndexOf(NEW_LINE);
      if (found !== -1) return start + found + 1;
      end = start;
    }
    return 0;
  }

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

  async #appendToDevice(lines: Uint8Array): Promise<AppendOutcome> {
    try {
      await this.#writeAll(lines);
      return { keptBytes: lines.length, error: null };
    } catch (error) {
      return { keptBytes: 0, error: error as Error };
    }
  }

  /** Loops, because a write to an almost full disk succeeds in part and only the next call fails. */
  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      written += (await this.#handle.write(bytes, written, bytes.length - written, null)).bytesWritten;
    }
  }
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

async function statOrNull(path: string) {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}
