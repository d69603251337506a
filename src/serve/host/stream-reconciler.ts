import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/core/clock.ts';
import { ERROR_CODES, type ErrorCode, REFUSED_SOURCE } from '../../base/errors/error-codes.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { AFTER_REFUSAL, BackOff } from '../../base/flow/back-off.ts';
import { KeyedGate } from '../../base/flow/keyed-gate.ts';
import { KeyedMutex } from '../../base/flow/keyed-mutex.ts';
import { overlapped } from '../../base/flow/overlapped.ts';
import { emptyReport } from '../../fleet/control/view/merge-streams.ts';
import type { EventDetails } from '../../frame/runtime/stream/stream-port.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { StreamReport } from '../../wire/protocol/report.ts';
import type { LayeredSettings } from './layered-settings.ts';
import type { WantedStream } from './overlay/overlay.ts';

const RETRY = { firstMs: 1_000, maxMs: 30_000 } as const;
/** Starting a stream may run ffmpeg; a camera that accepts the connection and then is silent only takes time. */
const TOGETHER = { atOnce: 8, slowMs: 1_000 } as const;
/** A stream can wait for a sink before it closes; after this time it is reported as one that could not follow. */
const STEP_MS = 30_000;

/** Not retryable for a command that ends, but for a host that stays: the file may appear, or be written to its end. */
const MAY_APPEAR: ReadonlySet<ErrorCode> = new Set([
  'SOURCE_NOT_FOUND',
  'SOURCE_UNREADABLE',
  'SOURCE_NO_VIDEO',
  'SOURCE_EMPTY',
]);

/** The streams of a host that run. Each operation rejects if the stream stays as it was. */
export interface RunningStreams<Running> {
  /** The settings of each. */
  readonly current: readonly WantedStream[];
  /** The settings of one; null if it does not run. */
  of(id: string): WantedStream | null;
  /** Starts a stream of the settings, once it is known that they fit and that its source can be read. */
  start(config: StreamConfig): Promise<Running>;
  /** Adds a stream for a client, whose settings were checked. */
  add(config: StreamConfig): Promise<Running>;
  change(id: string, next: (current: StreamConfig) => Promise<StreamConfig>): Promise<Running>;
  /** As `change`, to settings of the pipeline file. */
  replace(config: StreamConfig): Promise<Running>;
  pause(id: string): Promise<Running>;
  resume(id: string): Promise<Running>;
  remove(id: string, check?: (current: StreamConfig) => void): Promise<void>;
  /** Opens its source again. */
  renew(id: string): Promise<void>;
}

export interface ReconcilerOptions<Running> {
  readonly clock: Clock;
  readonly running: RunningStreams<Running>;
  readonly settings: Pick<LayeredSettings, 'wanted' | 'wantedOf' | 'follow' | 'keep'>;
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

/** A stream that could not be started. */
interface FailedStart {
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

type Outcome = 'added' | 'changed' | 'removed' | 'same';

export interface Convergence {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly failures: readonly { readonly id: string; readonly error: SightlineError }[];
}

/**
 * Makes the streams of a host those that its settings want. A stream that cannot be started is one of them: it stays in the reports with
 * its reason, and is tried again while another attempt can help. An operator can change, pause, resume and remove it as one that runs.
 *
 * Operations of clients on a stream wait while it follows the settings. Those on one that has failed never interleave with each other or
 * with an attempt.
 */
export class StreamReconciler<Running> {
  readonly #options: ReconcilerOptions<Running>;
  readonly #failed = new Map<string, FailedStart>();
  /** Those whose first attempt is in progress: loading a detector or finding a camera takes seconds. */
  readonly #starting = new Map<string, { readonly config: StreamConfig; seq: number }>();
  readonly #attempts = new KeyedMutex();
  readonly #gate = new KeyedGate();
  #isClosed = false;

  constructor(options: ReconcilerOptions<Running>) {
    this.#options = options;
  }

  /** The settings of all streams, those that run first. */
  get current(): readonly WantedStream[] {
    return [...this.#options.running.current, ...[...this.#failed.values()].map(wantedOf)];
  }

  currentOf(id: string): WantedStream | null {
    const failed = this.#failed.get(id);
    return this.#options.running.of(id) ?? (failed === undefined ? null : wantedOf(failed));
  }

  /** Why streams have failed at their start, by id; a paused one has not. */
  get failures(): ReadonlyMap<string, SightlineError> {
    return new Map([...this.#failed].flatMap(([id, { isPaused, error }]) => (isPaused ? [] : [[id, error] as const])));
  }

  /** Those of the streams that could not be started, or are being started. */
  get reports(): readonly StreamReport[] {
    const running = new Set(this.#options.running.current.map(({ config }) => config.id));
    const starting = [...this.#starting.values()].filter(({ config }) => !running.has(config.id));
    return [...[...this.#failed.values()].map(reportOf), ...starting.map(startingReportOf)];
  }

  /** Starts the wanted streams, several at once. @returns why each failed; null if it runs, or is paused. */
  start(): Promise<(SightlineError | null)[]> {
    const { clock, settings } = this.#options;
    return overlapped(settings.wanted.streams, (stream) => this.#start(stream), { ...TOGETHER, clock });
  }

  /**
   * Gives the streams their wanted settings, several at once; those that have them already are left alone. One that fails, or takes longer
   * than 30 s, does not stop the others.
   *
   * @param isOther - whether a source is to be opened again, although its name is the same.
   */
  async converge(isOther: (source: string) => boolean = () => false): Promise<Convergence> {
    const { clock, settings } = this.#options;
    const done: Record<Outcome, string[]> = { added: [], changed: [], removed: [], same: [] };
    const failures: { id: string; error: SightlineError }[] = [];
    const wanted = settings.wanted.streams.map(({ config }) => config.id);
    const others = this.current.flatMap(({ config: { id } }) => (wanted.includes(id) ? [] : [id]));
    // What is removed makes room for the others.
    for (const ids of [others, wanted]) {
      const step = (id: string): Promise<Outcome | SightlineError> =>
        inTime(this.#follow(id, isOther), clock).catch((error: unknown) =>
          SightlineError.from(error, 'INTERNAL_ERROR'),
        );
      for (const [i, outcome] of (await overlapped(ids, step, { ...TOGETHER, clock })).entries())
        if (outcome instanceof SightlineError) failures.push({ id: ids[i]!, error: outcome });
        else done[outcome].push(ids[i]!);
    }
    const { added, changed, removed } = done;
    return { added, changed, removed, failures };
  }

  async #follow(id: string, isOther: (source: string) => boolean): Promise<Outcome> {
    const { running, settings } = this.#options;
    return this.#gate.alone(id, async () => {
      const wanted = settings.wantedOf(id);
      // What no longer fits ends, and fails where it is started again.
      if (wanted?.isUnfit === true && running.of(id) !== null) await this.#remove(id);
      const now = this.currentOf(id);
      const failed = this.#failed.get(id);
      const isFailed = failed !== undefined;
      // It waits for an operator, who may have mended the file.
      const isStuck = failed?.retryAtMs === null && !failed.isPaused;
      let outcome: Outcome = 'same';
      if (wanted === null) {
        if (now !== null) await this.#remove(id);
        outcome = now === null ? 'same' : 'removed';
      } else if (now === null || isStuck || (isFailed && !isDeepStrictEqual(now.config, wanted.config))) {
        await this.#forgetFailure(id);
        // An attempt that was under way may have started it, with its old settings.
        const isRunning = now !== null && running.current.some(({ config }) => config.id === id);
        if (isRunning) await running.replace(wanted.config);
        if (isRunning && wanted.isPaused) await this.#setPaused(id, true);
        const failure = isRunning ? null : await this.#start(wanted);
        // It is in the list with its new settings, so it has followed them.
        settings.follow(id);
        if (failure !== null) throw failure;
        outcome = now === null ? 'added' : 'changed';
      } else if (!isDeepStrictEqual(now, wanted)) {
        if (!isDeepStrictEqual(now.config, wanted.config)) await running.replace(wanted.config);
        if (now.isPaused !== wanted.isPaused) await this.#setPaused(id, wanted.isPaused);
        outcome = 'changed';
      } else if (!isFailed && isOther(wanted.config.source)) {
        await running.renew(id);
        outcome = 'changed';
      }
      settings.follow(id);
      return outcome;
    });
  }

  /** Adds a stream for a client. @throws STREAM_EXISTS, and what starting it throws: it is not kept then. */
  add(config: StreamConfig): Promise<Running> {
    const { id } = config;
    if (this.#failed.has(id))
      throw new SightlineError(
        'STREAM_EXISTS',
        `a stream "${id}" exists and could not be started; change or remove it, or choose another id`,
      );
    return this.#operate(id, () => this.#options.running.add(config));
  }

  /**
   * Changes the settings; one that has failed is tried again. If another source cannot be opened either, its old settings stay.
   *
   * @returns the stream if it runs now, its report if it does not.
   * @throws SOURCE_* of another source, and what `next` throws.
   */
  change(id: string, next: (current: StreamConfig) => Promise<StreamConfig>): Promise<Running | StreamReport> {
    const change = async (entry: FailedStart): Promise<Running | StreamReport> => {
      const before = entry.config;
      const config = await next(before);
      if (entry.isPaused) {
        entry.config = config;
        return reportOf(entry);
      }
      return this.#attempt(entry, config).catch((error: SightlineError) => {
        if (config.source !== before.source) throw error;
        entry.config = config;
        this.#fail(entry, error);
        return reportOf(entry);
      });
    };
    return this.#operate(id, () => this.#on(id, change, () => this.#options.running.change(id, next)));
  }

  /** Ends the attempts of one that has failed. */
  pause(id: string): Promise<Running | StreamReport> {
    return this.#operate(id, () => this.#pause(id));
  }

  /** Tries one that has failed again at once. @returns as `change`. */
  resume(id: string): Promise<Running | StreamReport> {
    return this.#operate(id, () => this.#resume(id));
  }

  /** @param check - throws if it must stay. */
  remove(id: string, check?: (current: StreamConfig) => void): Promise<void> {
    return this.#operate(id, () => this.#remove(id, check));
  }

  /** Ends all attempts; resolves when none is in progress. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#failed.keys()].map((id) => this.#forgetFailure(id)));
  }

  /** Runs a client's operation on a stream, and keeps what it has changed. */
  #operate<T>(id: string, run: () => Promise<T>): Promise<T> {
    return this.#gate.pass(id, async () => {
      const done = await run();
      await this.#options.settings.keep(id, this.currentOf(id));
      return done;
    });
  }

  #pause(id: string): Promise<Running | StreamReport> {
    const pause = async (entry: FailedStart): Promise<StreamReport> => {
      entry.cancel();
      entry.retryAtMs = null;
      if (!entry.isPaused)
        this.#options.onEvent('stream-state', id, `${id} is paused`, { from: 'failed', to: 'paused' });
      entry.isPaused = true;
      return reportOf(entry);
    };
    return this.#on<Running | StreamReport>(id, pause, () => this.#options.running.pause(id));
  }

  #resume(id: string): Promise<Running | StreamReport> {
    const resume = (entry: FailedStart): Promise<Running | StreamReport> => {
      entry.isPaused = false;
      entry.backOff.reset();
      entry.afterRefusal.reset();
      return this.#retry(entry);
    };
    return this.#on(id, resume, () => this.#options.running.resume(id));
  }

  /** A stream that has ended meanwhile stays as it is. */
  async #setPaused(id: string, isPaused: boolean): Promise<void> {
    await (isPaused ? this.#pause(id) : this.#resume(id)).catch((error: unknown) => {
      if (!(error instanceof SightlineError) || error.code !== 'STREAM_STATE') throw error;
    });
  }

  #remove(id: string, check?: (current: StreamConfig) => void): Promise<void> {
    const remove = async (entry: FailedStart): Promise<void> => {
      check?.(entry.config);
      this.#forget(entry);
      this.#options.onEvent('stream-removed', id, `${id} was removed`);
    };
    return this.#on(id, remove, () => this.#options.running.remove(id, check));
  }

  /** Runs an operation on a stream that has failed, or on one that runs. */
  async #on<T>(id: string, onFailed: (entry: FailedStart) => Promise<T>, onRunning: () => Promise<T>): Promise<T> {
    const done = this.#failed.has(id)
      ? await this.#attempts.run(id, async () => {
          // An attempt that ended meanwhile may have started it.
          const entry = this.#failed.get(id);
          return entry === undefined ? null : { result: await onFailed(entry) };
        })
      : null;
    return done === null ? onRunning() : done.result;
  }

  /** Starts a stream, and keeps it if that fails. @returns why it failed; null if it runs, or is paused. @throws the reason of the signal */
  async #start({ config, isPaused }: WantedStream): Promise<SightlineError | null> {
    const { running, signal, random } = this.#options;
    const failure = await this.#attempts.run(config.id, async () => {
      signal?.()?.throwIfAborted();
      this.#starting.set(config.id, { config, seq: 0 });
      try {
        await running.start(config);
        return null;
      } catch (thrown) {
        signal?.()?.throwIfAborted();
        const error = errorOf(thrown);
        const entry: FailedStart = {
          config,
          error,
          attempts: 0,
          isPaused: false,
          seq: 0,
          sinceMs: 0,
          retryAtMs: null,
          backOff: new BackOff({ ...RETRY, random }),
          afterRefusal: new BackOff({ ...AFTER_REFUSAL, random }),
          cancel: () => undefined,
        };
        this.#failed.set(config.id, entry);
        this.#fail(entry, error);
        return error;
      } finally {
        this.#starting.delete(config.id);
      }
    });
    if (!isPaused) return failure;
    await this.#setPaused(config.id, true);
    return null;
  }

  /** Tries it again with the settings that it has. */
  #retry(entry: FailedStart): Promise<Running | StreamReport> {
    return this.#attempt(entry, entry.config).catch((error: SightlineError) => {
      this.#fail(entry, error);
      return reportOf(entry);
    });
  }

  /** @throws why it could not be started. */
  async #attempt(entry: FailedStart, config: StreamConfig): Promise<Running> {
    try {
      const running = await this.#options.running.start(config);
      this.#forget(entry);
      return running;
    } catch (thrown) {
      throw errorOf(thrown);
    }
  }

  #fail(entry: FailedStart, error: SightlineError): void {
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
    if (!this.#isClosed && mayHelp(error.code)) this.#retryLater(entry);
  }

  #retryLater(entry: FailedStart): void {
    const waitMs = (REFUSED_SOURCE.has(entry.error.code) ? entry.afterRefusal : entry.backOff).nextMs();
    entry.retryAtMs = Math.round(Date.now() + waitMs);
    entry.cancel = this.#options.clock.setTimer(() => {
      void this.#attempts.run(entry.config.id, async () => {
        const isCurrent = this.#failed.get(entry.config.id) === entry;
        // It may have been paused, or tried by an operator, while this waited for its turn.
        if (isCurrent && !this.#isClosed && !entry.isPaused) await this.#retry(entry);
      });
    }, waitMs);
  }

  async #forgetFailure(id: string): Promise<void> {
    await this.#on(
      id,
      async (entry) => this.#forget(entry),
      async () => undefined,
    );
  }

  #forget(entry: FailedStart): void {
    entry.cancel();
    this.#failed.delete(entry.config.id);
  }
}

function errorOf(thrown: unknown): SightlineError {
  return SightlineError.from(thrown, 'SOURCE_UNREADABLE');
}

function mayHelp(code: ErrorCode): boolean {
  return ERROR_CODES[code].retryable || MAY_APPEAR.has(code);
}

/** Without why it failed. */
function wantedOf({ config, isPaused }: FailedStart): WantedStream {
  return { config, isPaused };
}

function reportOf(entry: FailedStart): StreamReport {
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

function startingReportOf(entry: { readonly config: StreamConfig; seq: number }): StreamReport {
  return { ...emptyReport({ id: entry.config.id, config: entry.config }), seq: entry.seq++, state: 'starting' };
}

function inTime<T>(step: Promise<T>, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.setTimer(
      () => reject(new SightlineError('STREAM_STATE', `it still closes after ${STEP_MS / 1000} s, and follows then`)),
      STEP_MS,
    );
    step.then(resolve, reject).finally(cancel);
  });
}

/** `1 stream added (yard), 2 changed (door, gate); door: no such file`. */
export function convergenceText({ added, changed, removed, failures }: Convergence): string {
  const parts = Object.entries({ added, changed, removed }).flatMap(([what, ids]) =>
    ids.length === 0 ? [] : [`${ids.length} ${what} (${ids.join(', ')})`],
  );
  const failed = failures.map(({ id, error }) => `; ${id} could not follow: ${error.message}`).join('');
  return `streams: ${parts.join(', ') || 'nothing changed'}${failed}`;
}
