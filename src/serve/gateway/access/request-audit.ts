import { besidePath, KeptLines, type KeptLinesOptions } from '../../../after/sinks/kept-lines.ts';
import type { Clock } from '../../../base/core/clock.ts';
import type { Role } from '../../../wire/protocol/feed.ts';
import { addressKey } from './attempt-limit.ts';

/** How often repeats of a visit are written, as one line. */
const REPEATS_MS = 60_000;
/** Different visits within that time that have lines of their own, with a token and without one. */
const MOST_VISITS = { known: 100, unknown: 10 } as const;
/** What stands for all further ones. */
const OTHERS = 'others';
/** Of the bytes, for changes. */
const CHANGES_SHARE = 3 / 4;

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
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
}

interface Visit {
  readonly entry: AuditEntry;
  repeats: number;
  sinceMs: number;
}

/**
 * The record of who did what. Changes have a file of their own and most of the bytes. Visits (sign-ins, clients of the feed, what
 * was refused) are in another one beside it: the first is written at once, its repeats as one line a minute. So nobody who may
 * only look can push out the line of a change, however often they look.
 */
export class RequestAudit {
  readonly #options: RequestAuditOptions;
  readonly #changes: KeptLines;
  readonly #visits: KeptLines;
  /** Of the last minute, by what makes two visits alike. */
  readonly #seen = { known: new Map<string, Visit>(), unknown: new Map<string, Visit>() };
  #stopTimer: (() => void) | null = null;

  constructor(options: RequestAuditOptions) {
    const { path, maxBytes } = options;
    this.#options = options;
    this.#changes = new KeptLines({ ...options, name: 'the audit log', maxBytes: maxBytes * CHANGES_SHARE });
    const visits = {
      name: 'the log of visits',
      path: besidePath(path, 'visits'),
      maxBytes: maxBytes * (1 - CHANGES_SHARE),
    };
    this.#visits = new KeptLines({ ...options, ...visits });
  }

  addChange(entry: AuditEntry): void {
    this.#changes.add({ time: this.#now(), ...entry });
  }

  /** Adds a line, or counts it if it repeats one. The path does not matter, since anybody can make up another. */
  addVisit(entry: AuditEntry): void {
    const { who, role, address, action, status, error } = entry;
    const group = who === null ? 'unknown' : 'known';
    const seen = this.#seen[group];
    const own = JSON.stringify([who, role, addressKey(address ?? ''), action, status, error]);
    const key = seen.has(own) || seen.size < MOST_VISITS[group] ? own : OTHERS;
    const visit = seen.get(key);
    if (visit !== undefined) {
      visit.repeats += 1;
      return;
    }
    const shown = key === own ? entry : { who: null, role: null, address: null, action: OTHERS };
    seen.set(key, { entry: shown, repeats: 0, sinceMs: this.#options.wallMs() });
    this.#visits.add({ time: this.#now(), ...shown });
    this.#stopTimer ??= this.#options.clock.setTimer(() => this.#writeRepeats(), REPEATS_MS);
  }

  /** Resolves when everything so far is on the disk, or could not be written. */
  async flush(): Promise<void> {
    await Promise.all([this.#changes.flush(), this.#visits.flush()]);
  }

  async close(): Promise<void> {
    this.#writeRepeats();
    this.#stopTimer?.();
    await Promise.all([this.#changes.close(), this.#visits.close()]);
  }

  /** Forgets what has not been repeated. */
  #writeRepeats(): void {
    this.#stopTimer?.();
    this.#stopTimer = null;
    for (const seen of Object.values(this.#seen))
      for (const [key, visit] of seen) {
        const { entry, repeats, sinceMs } = visit;
        if (repeats === 0) {
          seen.delete(key);
          continue;
        }
        this.#visits.add({ time: this.#now(), ...entry, repeats, since: new Date(sinceMs).toISOString() });
        visit.repeats = 0;
        visit.sinceMs = this.#options.wallMs();
      }
    if (this.#seen.known.size + this.#seen.unknown.size > 0)
      this.#stopTimer = this.#options.clock.setTimer(() => this.#writeRepeats(), REPEATS_MS);
  }

  #now(): string {
    return new Date(this.#options.wallMs()).toISOString();
  }
}
