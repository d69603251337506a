import { AppendFile, type AppendOutcome, type OpenedFile, openToAppend } from './append-file.ts';
import type { SinkFiles } from './sink-files.ts';

const NEW_LINE = 0x0a;
const READ_BYTES = 64 * 1024;
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

/**
 * An append-only file of lines. Its last line is always complete: an incomplete one, left by a crash or a full disk, is
 * removed when the file is opened and after a failed write.
 */
export class LineFile extends AppendFile {
  #mayEndIncomplete = false;
  #cutBytes = 0;

  private constructor(opened: OpenedFile) {
    super(opened);
  }

  /**
   * Opens a file, creates it if it is missing, and repairs its end.
   *
   * @throws the system's error, or an Error without a code if the file is of another kind.
   */
  static async open(
    path: string,
    { firstCharacters, header = '', isWhole }: LineFileOptions,
    files?: SinkFiles,
  ): Promise<LineFile> {
    const file = new LineFile(await openToAppend(path, files));
    if (!file.isRegular) return file;
    try {
      await file.#checkKind(firstCharacters);
      await file.#repair(isWhole);
      if (header !== '' && (await file.size()) === 0) await file.writeAll(Buffer.from(header));
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  /** Takes over a new, empty file that somebody else has opened. */
  static of(opened: OpenedFile): LineFile {
    return new LineFile(opened);
  }

  /** Bytes of an incomplete last line that were removed when the file was opened. */
  get cutBytes(): number {
    return this.#cutBytes;
  }

  async append(lines: Uint8Array): Promise<AppendOutcome> {
    let before: number | null = null;
    try {
      if (this.#mayEndIncomplete) await this.#cutIncompleteLine();
      if (this.isRegular) before = await this.size();
      await this.writeAll(lines);
      return { keptBytes: lines.length, error: null };
    } catch (error) {
      this.#mayEndIncomplete = this.isRegular;
      if (before === null) return { keptBytes: 0, error: error as Error };
      await this.#cutIncompleteLine().catch(() => undefined);
      // The complete lines are in the file even if the incomplete one could not be removed.
      const kept = await this.#lineEnd().catch(() => before!);
      return { keptBytes: Math.max(0, kept - before), error: error as Error };
    }
  }

  /** Replaces the last bytes of the file. */
  async replaceEnd(bytes: number, text: string): Promise<void> {
    await this.truncate((await this.size()) - bytes);
    await this.writeAll(Buffer.from(text));
  }

  /** Returns the last bytes of the file, or all if it is shorter. */
  async end(bytes: number): Promise<string> {
    const size = await this.size();
    return (await this.read(Math.max(0, size - bytes), Math.min(size, bytes))).toString('latin1');
  }

  async #checkKind(firstCharacters: string): Promise<void> {
    const first = (await this.read(0, 1)).toString('latin1');
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
    if (isShort && isWhole((await this.read(lineEnd, size - lineEnd)).toString('utf8'))) {
      await this.writeAll(Buffer.of(NEW_LINE));
      return;
    }
    await this.truncate(lineEnd);
    this.#cutBytes = size - lineEnd;
  }

  async #cutIncompleteLine(): Promise<void> {
    await this.truncate(await this.#lineEnd());
    this.#mayEndIncomplete = false;
  }

  /** Returns the offset at which the last complete line ends. */
  async #lineEnd(): Promise<number> {
    for (let end = await this.size(); end > 0; ) {
      const start = Math.max(0, end - READ_BYTES);
      const found = (await this.read(start, end - start)).lastIndexOf(NEW_LINE);
      if (found !== -1) return start + found + 1;
      end = start;
    }
    return 0;
  }
}

/** Files of JSON objects, one per line. */
export const JSON_LINES = { firstCharacters: '{', isWhole: isJsonObject };

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
