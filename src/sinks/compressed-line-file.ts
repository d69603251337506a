import { type Compression, compress, compressedNothing, decompress } from '../disk/compression.ts';
import { AppendFile, type AppendOutcome, type OpenedFile, openToAppend } from './append-file.ts';
import { finishMember, isCompressed, isForeign, memberEnd, type ReadBytes } from './members.ts';

const NEW_LINE = 0x0a;
const WINDOW_BYTES = 256 * 1024;
/**
 * A crash leaves at most one incomplete member, and a power failure what was written in five seconds. If more than this
 * cannot be read, the file is damaged in another way, and nothing is removed.
 */
const MAX_CUT_BYTES = 16 * 1024 * 1024;

/**
 * An append-only file of lines, compressed. Each `append` adds one member, which holds whole lines: after a crash all members
 * but the last can be read. An incomplete member is removed when the file is opened and after a failed write.
 */
export class CompressedLineFile extends AppendFile {
  readonly unit = 'member';
  readonly #compression: Compression;
  /** Where the last complete member ends, after a failed write; null while nothing has to be removed. */
  #completeEnd: number | null = null;

  private constructor(opened: OpenedFile, compression: Compression) {
    super(opened);
    this.#compression = compression;
  }

  /**
   * Opens a file, creates it if it is missing, and repairs its end.
   *
   * @throws the system's error, or an Error without a code if the file is of another kind or damaged.
   */
  static async open(path: string, compression: Compression): Promise<CompressedLineFile> {
    const file = new CompressedLineFile(await openToAppend(path), compression);
    if (!file.isRegular) return file;
    try {
      await file.#checkKind();
      await file.#repair();
      // An empty file is not a valid compressed one.
      if ((await file.size()) === 0) await file.writeAll(emptyMember(compression));
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  async append(lines: Uint8Array): Promise<AppendOutcome> {
    let before: number | null = null;
    try {
      const member = finishMember(await compress(lines, this.#compression), this.#compression);
      if (this.isRegular) {
        await this.#cutIncompleteMember();
        before = await this.size();
      }
      await this.writeAll(member);
      return { keptBytes: lines.length, error: null };
    } catch (error) {
      if (before !== null) {
        this.#completeEnd = before;
        await this.#cutIncompleteMember().catch(() => undefined);
      }
      return { keptBytes: 0, error: error as Error };
    }
  }

  async #cutIncompleteMember(): Promise<void> {
    if (this.#completeEnd === null) return;
    // Log rotation may have emptied the file meanwhile: do not let it grow.
    if ((await this.size()) > this.#completeEnd) await this.truncate(this.#completeEnd);
    this.#completeEnd = null;
  }

  async #checkKind(): Promise<void> {
    const first = await this.read(0, 4);
    // A power failure can leave zeros in place of appended data, and a crash less than the first four bytes.
    if (first.length < 4 || first.every((byte) => byte === 0) || isCompressed(first, this.#compression)) return;
    throw new Error(`the file holds something else: expected ${this.#compression}; choose another path`);
  }

  /** Removes what follows the last complete member, and ends the last line if its member does not. */
  async #repair(): Promise<void> {
    const size = await this.size();
    const read = windowed((position, bytes) => this.read(position, bytes));
    const starts: number[] = [];
    let end = 0;
    while (end < size) {
      const next = await memberEnd(read, end, this.#compression);
      if (next === null || next > size) break;
      starts.push(end);
      end = next;
    }
    if (await isForeign(read, end, this.#compression)) throw unreadable(end, 'another program compressed it');
    // The headers alone do not prove that the system had written the rest before the power failed.
    let lastByte: number | null = null;
    while (starts.length > 0 && size - starts.at(-1)! <= MAX_CUT_BYTES) {
      const start = starts.pop()!;
      const text = await decompress(await this.read(start, end - start), this.#compression).catch(() => null);
      lastByte = text?.at(-1) ?? null;
      if (text !== null) break;
      end = start;
    }
    if (size - end > MAX_CUT_BYTES) throw unreadable(end, 'it is damaged');
    if (end < size) await this.truncate(end);
    this.cut = size - end;
    if (lastByte !== null && lastByte !== NEW_LINE)
      await this.writeAll(finishMember(await compress(Buffer.of(NEW_LINE), this.#compression), this.#compression));
  }
}

function unreadable(position: number, why: string): Error {
  return new Error(`the file cannot be continued: ${why}, at byte ${position}; move it away or choose another path`);
}

/** Returns a member without lines: the content of a file without results. */
export function emptyMember(compression: Compression): Buffer {
  return finishMember(compressedNothing(compression), compression);
}

/** Reads ahead: members are small, and a system call for each header would cost more than reading the whole file. */
function windowed(read: ReadBytes): ReadBytes {
  let start = 0;
  let window: Buffer = Buffer.alloc(0);
  return async (position, bytes) => {
    if (position < start || position + bytes > start + window.length) {
      start = position;
      window = await read(position, Math.max(bytes, WINDOW_BYTES));
    }
    return window.subarray(position - start, position - start + bytes);
  };
}
