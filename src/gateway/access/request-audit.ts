import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import type { Role } from '../../protocol/feed.ts';
import { isJsonObject, LineFile } from '../../sinks/line-file.ts';

/** Lines kept while the file cannot be written. */
const MOST_PENDING = 1000;
/** Refused requests are written at most this often, so that an attacker cannot push out the lines of others. */
const REFUSAL_INTERVAL_MS = 1000;

/** One line of the audit log. */
export interface AuditEntry {
  /** Name of the token; null without one. */
  readonly who: string | null;
  readonly role: Role | null;
  /** Null: no request did it. */
  readonly address: string | null;
  /** Such as `POST /api/streams/:id/pause`. */
  readonly action: string;
  /** Path of the request. */
  readonly path?: string;
  /** HTTP status. */
  readonly status?: number;
  /** Error code. */
  readonly error?: string;
  readonly details?: string;
}

export interface RequestAuditOptions {
  readonly path: string;
  /** Most bytes of the file and of the older one beside it, together. */
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly onNotice: (text: string) => void;
}

/**
 * The record of who did what: a JSON object a line. When the file has half of its bytes it is renamed to `NAME.1`, which
 * replaces the older one. What cannot be written now is written later.
 */
export class RequestAudit {
  readonly #options: RequestAuditOptions;
  #file: LineFile | null = null;
  #pending: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #isFailing = false;
  #nextRefusalMs = Number.NEGATIVE_INFINITY;
  #unwrittenRefusals = 0;

  constructor(options: RequestAuditOptions) {
    this.#options = options;
  }

  /** Adds a line. */
  add(entry: AuditEntry): void {
    this.#push({ ...entry });
  }

  /** Adds a refused request. At most one is written a second; it says how many before it were left out. */
  addRefusal(entry: AuditEntry): void {
    const nowMs = this.#options.clock.now();
    if (nowMs < this.#nextRefusalMs) {
      this.#unwrittenRefusals += 1;
      return;
    }
    this.#nextRefusalMs = nowMs + REFUSAL_INTERVAL_MS;
    this.#push({ ...entry, ...(this.#unwrittenRefusals === 0 ? {} : { alsoRefused: this.#unwrittenRefusals }) });
    this.#unwrittenRefusals = 0;
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

  #push(entry: object): void {
    this.#pending.push(`${JSON.stringify({ time: new Date(this.#options.wallMs()).toISOString(), ...entry })}\n`);
    if (this.#pending.length > MOST_PENDING) this.#pending.shift();
    this.#writing = this.#writing.then(() => this.#write());
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
      if (!this.#isFailing)
        this.#options.onNotice(`the audit log ${this.#options.path} cannot be written: ${(error as Error).message}`);
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
    if (!isMoved) await rename(path, `${path}.1`);
  }
}
