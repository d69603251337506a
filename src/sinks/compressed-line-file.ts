import { type Compression, compress, compressedNothing, isCompressed } from '../disk/compression.ts';
import { AppendFile, type AppendOutcome, type OpenedFile, openToAppend } from './append-file.ts';
import { keepNumbered } from './output-names.ts';
import { diskFiles, type SinkFiles, stateOrNull } from './sink-files.ts';

/**
 * A new file of compressed lines. gzip (RFC 1952, 2.2) and zstd (RFC 8878, 3) define that compressed parts written one after
 * the other are one file: each `append` adds one such member, which holds whole lines. After a crash all members but the last
 * can be read. A file is never continued by another run, so nothing has to be repaired.
 */
export class CompressedLineFile extends AppendFile {
  readonly #compression: Compression;
  /** Where the last complete member ends, after a failed write; null while nothing has to be removed. */
  #completeEnd: number | null = null;

  private constructor(opened: OpenedFile, compression: Compression) {
    super(opened);
    this.#compression = compression;
  }

  /**
   * Creates a file. An earlier one of this name is kept as `NAME.N.EXT`.
   *
   * @throws the system's error, or an Error without a code if the earlier file is of another kind.
   */
  static async open(path: string, compression: Compression, files = diskFiles): Promise<CompressedLineFile> {
    const before = await stateOrNull(files, path);
    if (before?.isFile() === true && before.size > 0) {
      await checkKind(path, compression, files);
      await keepNumbered(path, files);
    }
    const file = new CompressedLineFile(await openToAppend(path, files), compression);
    if (!file.isRegular) return file;
    try {
      // An empty file is not a valid compressed one.
      if ((await file.size()) === 0) await file.writeAll(compressedNothing(compression));
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  async append(lines: Uint8Array): Promise<AppendOutcome> {
    let before: number | null = null;
    try {
      const member = await compress(lines, this.#compression);
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
    // Log rotation may have emptied the file meanwhile; truncating must not make it longer.
    if ((await this.size()) > this.#completeEnd) await this.truncate(this.#completeEnd);
    this.#completeEnd = null;
  }
}

/** Protects a file that was named by mistake. */
async function checkKind(path: string, compression: Compression, files: SinkFiles): Promise<void> {
  const file = await files.open(path, 'r');
  const first = new Uint8Array(4);
  const { bytesRead } = await file.read(first, 0, first.length, 0).finally(() => file.close());
  // A power failure can leave zeros in place of appended data, and a crash fewer than four bytes.
  if (bytesRead < first.length || first.every((byte) => byte === 0) || isCompressed(first, compression)) return;
  throw new Error(`the file has another format: expected ${compression}; choose another path`);
}
