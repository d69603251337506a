import type { StreamConfig } from '../config/stream.ts';
import { emptyReport } from '../control/view/merge-streams.ts';
import type { Clock } from '../core/clock.ts';
import { ERROR_CODES, type ErrorCode, REFUSED_SOURCE } from '../errors/error-codes.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { AFTER_REFUSAL, BackOff } from '../flow/back-off.ts';
import { KeyedMutex } from '../flow/keyed-mutex.ts';
import type { StreamReport } from '../protocol/report.ts';
import type { EventDetails } from '../runtime/stream/stream-port.ts';

const RETRY = { firstMs: 1_000, maxMs: 30_000 } as const;

/** Not retryable for a command that ends, but for a host that stays: the file may appear, or be written to its end. */
const MAY_APPEAR: ReadonlySet<ErrorCode> = new Set([
  'SOURCE_NOT_FOUND',
  'SOURCE_UNREADABLE',
  'SOURCE_NO_VIDEO',
  'SOURCE_EMPTY',
]);

export interface FailedStartsOptions<Started> {
  readonly clock: Clock;
  /** Starts a stream. */
  readonly add: (config: StreamConfig) => Promise<Started>;
  /** Called when a stream fails at its start, once for each new reason, and when it is paused or removed before it has started. */
  readonly onEvent: (
    kind: 'stream-state' | 'stream-removed',
    id: string,
    message: string,
    details?: EventDetails,
  ) => void;
  /** What ends a start now: that is no failure. */
  readonly signal?: () => AbortSignal | undefined;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

interface Entry {
  config: StreamConfig;
  error: SightlineError;
  attempts: number;
  isPaused: boolean;
  /** Reports so far. */
  seq: number;
  /** When it is tried again, on the wall clock; null if only an operator can help. */
  retryAtMs: number | null;
  readonly backOff: BackOff;
  readonly afterRefusal: BackOff;
  /** Since when `error` is the reason, on the wall clock. */
  sinceMs: number;
  cancel: () => void;
}

/**
 * The streams of a host that could not be started. Each stays in the reports with its reason, and is tried again while
 * another attempt can help. An operator can change, pause, resume and remove it as one that runs.
 *
 * Operations on one stream never interleave with each other or with an attempt.
 */
export class FailedStarts<Started> {
  readonly #options: FailedStartsOptions<Started>;
  readonly #entries = new Map<string, Entry>();
  readonly #mutex = new KeyedMutex();
  #isClosed = false;

  constructor(options: FailedStartsOptions<Started>) {
    this.#options = options;
  }

  /** Starts a stream, and keeps it if that fails. @returns why it failed; null if it runs. @throws the reason of the signal */
  async start(config: StreamConfig): Promise<SightlineError | null> {
    return this.#mutex.run(config.id, async () => {
      this.#options.signal?.()?.throwIfAborted();
      try {
        await this.#options.add(config);
        return null;
      } catch (thrown) {
        this.#options.signal?.()?.throwIfAborted();
        const { random } = this.#options;
        const backOff = new BackOff({ ...RETRY, random });
        const afterRefusal = new BackOff({ ...AFTER_REFUSAL, random });
        const error = errorOf(thrown);
        const entry: Entry = {
          ...{
            config,
            error,
            attempts: 0,
            isPaused: false,
            seq: 0,
            sinceMs: 0,
            retryAtMs: null,
            backOff,
            afterRefusal,
          },
          cancel: () => undefined,
        };
        this.#entries.set(config.id, entry);
        this.#fail(entry, error);
        return error;
      }
    });
  }

  /** Starts one of these with other settings, and keeps it with them if that fails. @returns as `start`. */
  async restart(config: StreamConfig): Promise<SightlineError | null> {
    await this.#withEntry(config.id, async (entry) => this.#forget(entry));
    return this.start(config);
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  /** The settings of each. */
  get settings(): readonly { readonly config: StreamConfig; readonly isPaused: boolean }[] {
    return [...this.#entries.values()].map(({ config, isPaused }) => ({ config, isPaused }));
  }

  /** Ids of those that are failed now; a paused one is not. */
  get failing(): readonly string[] {
    return [...this.errors.keys()];
  }

  /** Why each of those has failed, by its id. */
  get errors(): ReadonlyMap<string, SightlineError> {
    return new Map([...this.#entries].flatMap(([id, { isPaused, error }]) => (isPaused ? [] : [[id, error] as const])));
  }

  get reports(): readonly StreamReport[] {
    return [...this.#entries.values()].map(reportOf);
  }

  /**
   * Changes the settings and tries again. If another source cannot be opened either, the old settings stay.
   *
   * @returns the stream if it runs now, its report if it does not, null if it is not one of these.
   * @throws SOURCE_* of another source, and what `next` throws.
   */
  change(id: string, next: (current: StreamConfig) => Promise<StreamConfig>): Promise<Started | StreamReport | null> {
    return this.#withEntry(id, async (entry) => {
      const before = entry.config;
      const config = await next(before);
      if (entry.isPaused) {
        entry.config = config;
        return reportOf(entry);
      }
      try {
        return await this.#add(id, config);
      } catch (thrown) {
        const error = errorOf(thrown);
        if (config.source !== before.source) throw error;
        entry.config = config;
        this.#fail(entry, error);
        return reportOf(entry);
      }
    });
  }

  /** Ends the attempts. @returns null if it is not one of these. */
  pause(id: string): Promise<StreamReport | null> {
    return this.#withEntry(id, async (entry) => {
      entry.cancel();
      entry.retryAtMs = null;
      if (!entry.isPaused)
        this.#options.onEvent('stream-state', id, `${id} is paused`, { from: 'failed', to: 'paused' });
      entry.isPaused = true;
      return reportOf(entry);
    });
  }

  /** Tries again at once. @returns as `change`. */
  resume(id: string): ReturnType<FailedStarts<Started>['change']> {
    return this.#withEntry(id, async (entry) => {
      entry.isPaused = false;
      entry.backOff.reset();
      entry.afterRefusal.reset();
      return this.#attempt(entry);
    });
  }

  /** @param check - throws if it must stay. @returns false if it is not one of these. */
  async remove(id: string, check: (current: StreamConfig) => void = () => undefined): Promise<boolean> {
    const isRemoved = await this.#withEntry(id, async (entry) => {
      check(entry.config);
      this.#forget(entry);
      this.#options.onEvent('stream-removed', id, `${id} was removed`);
      return true;
    });
    return isRemoved ?? false;
  }

  /** Ends all attempts; resolves when none is in progress. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#entries.keys()].map((id) => this.#withEntry(id, async (entry) => this.#forget(entry))));
  }

  #withEntry<T>(id: string, run: (entry: Entry) => Promise<T>): Promise<T | null> {
    if (!this.has(id)) return Promise.resolve(null);
    return this.#mutex.run(id, async () => {
      // An attempt that ended meanwhile may have started it.
      const entry = this.#entries.get(id);
      return entry === undefined ? null : run(entry);
    });
  }

  async #attempt(entry: Entry): Promise<Started | StreamReport> {
    try {
      return await this.#add(entry.config.id, entry.config);
    } catch (thrown) {
      this.#fail(entry, errorOf(thrown));
      return reportOf(entry);
    }
  }

  async #add(id: string, config: StreamConfig): Promise<Started> {
    const started = await this.#options.add(config);
    this.#forget(this.#entries.get(id)!);
    return started;
  }

  #fail(entry: Entry, error: SightlineError): void {
    const { id } = entry.config;
    const isNew = entry.attempts === 0 || entry.error.message !== error.message;
    if (isNew) entry.sinceMs = Date.now();
    entry.error = error;
    entry.attempts += 1;
    entry.cancel();
    entry.retryAtMs = null;
    if (isNew)
      this.#options.onEvent('stream-state', id, `${id} is failed: ${error.message}`, {
        from: 'starting',
        to: 'failed',
        code: error.code,
      });
    if (this.#isClosed || !mayHelp(error.code)) return;
    const waitMs = (REFUSED_SOURCE.has(error.code) ? entry.afterRefusal : entry.backOff).nextMs();
    entry.retryAtMs = Math.round(Date.now() + waitMs);
    entry.cancel = this.#options.clock.setTimer(() => {
      void this.#withEntry(id, async (current) => {
        // It may have been paused, or tried by an operator, while this waited for its turn.
        if (current === entry && !this.#isClosed && !entry.isPaused) await this.#attempt(entry);
      });
    }, waitMs);
  }

  #forget(entry: Entry): void {
    entry.cancel();
    this.#entries.delete(entry.config.id);
  }
}

function errorOf(thrown: unknown): SightlineError {
  return SightlineError.from(thrown, 'SOURCE_UNREADABLE');
}

function mayHelp(code: ErrorCode): boolean {
  return ERROR_CODES[code].retryable || MAY_APPEAR.has(code);
}

function reportOf(entry: Entry): StreamReport {
  const { config, error, sinceMs, attempts, retryAtMs, isPaused } = entry;
  return {
    ...emptyReport({ id: config.id, config }),
    seq: entry.seq++,
    state: isPaused ? 'paused' : 'failed',
    lastError: error.message,
    lastErrorAtMs: sinceMs,
    startFailure: { code: error.code, attempts, retryAtMs },
  };
}
