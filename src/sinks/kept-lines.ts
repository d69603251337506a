import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isJsonObject, LineFile } from './line-file.ts';

/** Most lines kept in memory while the file cannot be written. */
const MOST_PENDING = 1000;

export interface KeptLinesOptions {
  /** For the notice, such as `the audit log`. */
  readonly name: string;
  readonly path: string;
  /** Most bytes of the file and of the older one beside it, together. */
  readonly maxBytes: number;
  readonly onNotice: (text: string) => void;
}

/**
 * A record of bounded size that survives a restart, one JSON object per line. When the file reaches half of `maxBytes` it is renamed to
 * `NAME.1`, which replaces the older one. Lines that cannot be written now are written later, and never delay the caller; beyond a
 * thousand of them the oldest are lost.
 */
export class KeptLines {
  readonly #options: KeptLinesOptions;
  #file: LineFile | null = null;
  #pending: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #isFailing = false;

  constructor(options: KeptLinesOptions) {
    this.#options = options;
  }

  add(entry: object): void {
    this.#pending.push(`${JSON.stringify(entry)}\n`);
    if (this.#pending.length > MOST_PENDING) this.#pending.shift();
    this.#writing = this.#writing.then(() => this.#write());
  }

  /** Resolves when everything so far is on the disk, or could not be written. */
  flush(): Promise<void> {
    return this.#writing;
  }

  async close(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
    await this.#file?.close();
    this.#file = null;
  }

  async #write(): Promise<void> {
    if (this.#pending.length === 0) return;
    const lines = this.#pending;
    this.#pending = [];
    let written = 0;
    try {
      this.#file ??= await this.#open();
      const { keptBytes, error } = await this.#file.append(Buffer.from(lines.join('')));
      for (let bytes = 0; written < lines.length && bytes < keptBytes; written += 1)
        bytes += Buffer.byteLength(lines[written]!);
      if (error !== null) throw error;
      this.#isFailing = false;
      await this.#rotate(this.#file);
    } catch (error) {
      this.#pending = [...lines.slice(written), ...this.#pending].slice(-MOST_PENDING);
      const { name, path, onNotice } = this.#options;
      if (!this.#isFailing) onNotice(`${name} ${path} cannot be written: ${(error as Error).message}`);
      this.#isFailing = true;
    }
  }

  async #open(): Promise<LineFile> {
    await mkdir(dirname(this.#options.path), { recursive: true });
    return LineFile.open(this.#options.path, { firstCharacters: '{', isWhole: isJsonObject });
  }

  async #rotate(file: LineFile): Promise<void> {
    const { path, maxBytes } = this.#options;
    const isMoved = await file.isMoved();
    if (!isMoved && (await file.size()) < maxBytes / 2) return;
    this.#file = null;
    await file.close();
    if (!isMoved) await rename(path, olderPath(path));
  }
}

/** Path of the older file beside it. */
export function olderPath(path: string): string {
  return `${path}.1`;
}
