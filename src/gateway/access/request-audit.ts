import type { Clock } from '../../core/clock.ts';
import type { Role } from '../../protocol/feed.ts';
import { KeptLines, type KeptLinesOptions } from '../../sinks/kept-lines.ts';

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

export interface RequestAuditOptions extends Omit<KeptLinesOptions, 'name'> {
  readonly clock: Clock;
  readonly wallMs: () => number;
}

/** The record of who did what. */
export class RequestAudit {
  readonly #options: RequestAuditOptions;
  readonly #lines: KeptLines;
  #nextRefusalMs = Number.NEGATIVE_INFINITY;
  #unwrittenRefusals = 0;

  constructor(options: RequestAuditOptions) {
    this.#options = options;
    this.#lines = new KeptLines({ ...options, name: 'the audit log' });
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
    return this.#lines.flush();
  }

  close(): Promise<void> {
    return this.#lines.close();
  }

  #push(entry: object): void {
    this.#lines.add({ time: new Date(this.#options.wallMs()).toISOString(), ...entry });
  }
}
