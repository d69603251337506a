import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from './output-names.ts';

const NEW_LINE = 0x0a;
const BLOCK_BYTES = 64 * 1024;
/** A last line without its line break that is longer than this is cut off unread. */
const MOST_LINE_BYTES = 16 * 1024 * 1024;

export interface LineFileOptions {
  /** Characters that a file of this kind may begin with: appending to a video named by mistake would ruin it. */
  readonly firstCharacters: string;
  /** Written first into a file that is empty; whole lines. */
  readonly header?: string;
  /** Is a last line without its line break whole all the same? */
  readonly isWhole: (line: string) => boolean;
}

export interface AppendOutcome {
  /** Bytes of the text that are in the file now; they end with a line break. */
  readonly keptBytes: number;
  /** Why it is not all of them. */
  readonly error: Error | null;
}

/**
 * A file of lines that is only appended to. Its last line is always whole: what a crash or a full disk left of one is cut
 * off when the file is opened, and after a failed write.
 */
export class LineFile {
  readonly path: string;
  /** Pipes and devices are written to as they are: nothing can be cut off or brought to a disk. */
  readonly isRegular: boolean;
  readonly #handle: FileHandle;
  #cutBytes = 0;
  #mayEndInHalfLine = false;

  private constructor(path: string, handle: FileHandle, isRegular: boolean) {
    this.path = path;
    this.#handle = handle;
    this.isRegular = isRegular;
  }

  /**
   * Opens a file, makes it where it is missing, and repairs its end.
   *
   * @throws the error of the system, or an Error without code where the file holds something else.
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

  /** Bytes of half a line that were cut off when the file was opened. */
  get cutBytes(): number {
    return this.#cutBytes;
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  /** Appends whole lines; where that fails, no half line stays. */
  async append(lines: Uint8Array): Promise<AppendOutcome> {
    if (!this.isRegular) return this.#appendToDevice(lines);
    let before: number | null = null;
    try {
      if (this.#mayEndInHalfLine) await this.#cutHalfLine();
      before = await this.size();
      await this.#writeAll(lines);
      return { keptBytes: lines.length, error: null };
    } catch (error) {
      this.#mayEndInHalfLine = true;
      if (before === null) return { keptBytes: 0, error: error as Error };
      await this.#cutHalfLine().catch(() => undefined);
      // Where it could not be cut, the whole lines are there all the same.
      const kept = await this.#lineEnd().catch(() => before!);
      return { keptBytes: Math.max(0, kept - before), error: error as Error };
    }
  }

  /** Replaces the last bytes of the file. */
  async replaceEnd(bytes: number, text: string): Promise<void> {
    await this.#handle.truncate((await this.size()) - bytes);
    await this.#writeAll(Buffer.from(text));
  }

  /** The last bytes, fewer where there are not so many. */
  async end(bytes: number): Promise<string> {
    const size = await this.size();
    return (await this.#read(Math.max(0, size - bytes), Math.min(size, bytes))).toString('latin1');
  }

  /** Brings what was written to the disk: a power cut cannot take it any more. */
  async sync(): Promise<void> {
    if (!this.isRegular) return;
    await this.#handle.datasync().catch((error: NodeJS.ErrnoException) => {
      // Some network and user-space file systems have no such call.
      if (error.code !== 'EINVAL' && error.code !== 'ENOSYS' && error.code !== 'ENOTSUP') throw error;
    });
  }

  /** Was the file moved or removed under its path, as log rotation does? */
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
    // A power cut can leave zeros where the file had grown.
    if (first === '' || first === '\0' || firstCharacters.includes(first)) return;
    throw new Error(
      `the file holds something else: expected it to begin with ${firstCharacters}, found ${JSON.stringify(first)}; choose another path`,
    );
  }

  /** Ends the file with a whole line: a last one that only lacks its line break is given one, any other is cut off. */
  async #repair(isWhole: (line: string) => boolean): Promise<void> {
    const size = await this.size();
    const lineEnd = await this.#lineEnd();
    if (lineEnd === size) return;
    const isShort = size - lineEnd <= MOST_LINE_BYTES;
    if (isShort && isWhole((await this.#read(lineEnd, size - lineEnd)).toString('utf8'))) {
      await this.#writeAll(Buffer.of(NEW_LINE));
      return;
    }
    await this.#handle.truncate(lineEnd);
    this.#cutBytes = size - lineEnd;
  }

  async #cutHalfLine(): Promise<void> {
    await this.#handle.truncate(await this.#lineEnd());
    this.#mayEndInHalfLine = false;
  }

  /** Where the last whole line ends. */
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

  /** A disk that fills up takes a part, and fails at the next call. */
  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      written += (await this.#handle.write(bytes, written, bytes.length - written, null)).bytesWritten;
    }
  }
}

/** Is this text an object in JSON, from its first character to its last? No shorter part of one is. */
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
