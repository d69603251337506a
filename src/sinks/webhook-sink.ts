import { randomUUID } from 'node:crypto';
import { type Clock, monoNowMs } from '../core/clock.ts';
import type { PublishedFrame } from '../core/frame.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { resultLine } from './result-line.ts';
import { retryDelayMs } from './retry-delay.ts';
import type { Sink, SinkFailureListener } from './sink.ts';
import { countOf } from './sink-failure.ts';
import { attemptPost, type Destination, parseDestination } from './webhook-request.ts';

export interface WebhookSinkOptions {
  readonly id: string;
  /** http or https; `user:password@` becomes an Authorization header. */
  readonly url: string;
  /** Sent with each request; values are never printed. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Maximum results per request. */
  readonly batchResults?: number;
  /** Maximum time that a result waits for others. */
  readonly batchMs?: number;
  /** Of callers that wait, and as many again of callers that cannot, whose oldest results are then dropped. */
  readonly maxQueuedResults?: number;
  /** Of one attempt. */
  readonly timeoutMs?: number;
  /** Attempts per batch before it is dropped. */
  readonly maxAttempts?: number;
  readonly firstRetryMs?: number;
  readonly maxRetryMs?: number;
  /** Upper bound of the server's `Retry-After`. */
  readonly maxRetryAfterMs?: number;
  /** Maximum time that `close` waits for queued results. */
  readonly closeMs?: number;
  /** Called for each dropped batch, and at most once a second for results dropped from a full queue. */
  readonly onFailure: SinkFailureListener;
  /** Called when the first batch is delivered after a failure. */
  readonly onRecovery?: () => void;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export const WEBHOOK_DEFAULTS = {
  batchResults: 50,
  batchMs: 1000,
  maxQueuedResults: 2000,
  timeoutMs: 10_000,
  maxAttempts: 5,
  firstRetryMs: 500,
  maxRetryMs: 30_000,
  maxRetryAfterMs: 300_000,
  closeMs: 15_000,
} as const satisfies Partial<WebhookSinkOptions>;

/** Unlike `systemClock`, its timers keep the process alive, so that a pending retry is not lost at exit. */
const keepAliveClock: Clock = {
  now: monoNowMs,
  setTimer(run, delayMs) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

const OVERFLOW_REPORT_MS = 1000;

interface QueuedResult {
  readonly line: string;
  readonly canWait: boolean;
}

/**
 * Posts results in batches: `{"sink", "batch", "lostResults", "results": [...]}`, each result as in a JSONL line.
 *
 * Sends one batch at a time, so that results arrive in order. A failed batch is retried with growing delays and the same
 * `Idempotency-Key`, which lets the receiver recognise a repeat if only the answer was lost. After the last attempt the
 * batch is dropped and reported, and the next one is sent: an outage costs results but never stops the stream. Redirects
 * and 4xx answers other than 408, 425 and 429 are not retried.
 */
export class WebhookSink implements Sink {
  readonly id: string;
  readonly #options: WebhookSinkOptions & Required<Pick<WebhookSinkOptions, keyof typeof WEBHOOK_DEFAULTS>>;
  readonly #destination: Destination;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #keyPrefix = randomUUID();
  #queue: QueuedResult[] = [];
  /** Results in the queue whose callers wait. */
  #waitingResults = 0;
  #batches = 0;
  #isSending = false;
  #isFailing = false;
  #cancelBatchTimer: (() => void) | null = null;
  #request: AbortController | null = null;
  #endPause: (() => void) | null = null;
  #waiting: (() => void)[] = [];
  #lostResults = 0;
  #unreportedDrops = 0;
  #overflowReportedMs = -Infinity;
  #lastFailure: SightlineError | null = null;
  #closing: Promise<void> | null = null;
  #isCloseTimedOut = false;

  /** @throws CONFIG_INVALID if `url` is not an http or https address. */
  constructor(options: WebhookSinkOptions) {
    this.id = options.id;
    this.#options = { ...WEBHOOK_DEFAULTS, ...options };
    this.#destination = parseDestination(options.id, options.url, options.headers ?? {});
    this.#clock = options.clock ?? keepAliveClock;
    this.#random = options.random ?? Math.random;
  }

  publish(frame: PublishedFrame, source: string, canWait = true): boolean {
    if (this.#closing !== null) return true;
    this.#queue.push({ line: resultLine(frame, source), canWait });
    if (canWait) this.#waitingResults += 1;
    else if (this.#queue.length - this.#waitingResults > this.#options.maxQueuedResults) this.#dropOldest();
    this.#schedule();
    return !canWait || !this.#isFull;
  }

  drained(): Promise<void> {
    return this.#isFull && this.#closing === null ? this.#waitForProgress() : Promise.resolve();
  }

  get #isFull(): boolean {
    return this.#waitingResults >= this.#options.maxQueuedResults;
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    const cancelDeadline = this.#clock.setTimer(() => this.#onCloseTimeout(), this.#options.closeMs);
    // From here on batches are sent at once, full or not.
    this.#startSending();
    while (this.#isSending) await this.#waitForProgress();
    cancelDeadline();
    if (this.#lostResults === 0) return;
    const reason = this.#lastFailure === null ? '' : ` The last failure: ${this.#lastFailure.message}`;
    throw this.#failure(`${countOf(this.#lostResults)} lost.${reason}`);
  }

  #schedule(): void {
    if (this.#isSending) return;
    if (this.#queue.length >= this.#options.batchResults) this.#startSending();
    else this.#cancelBatchTimer ??= this.#clock.setTimer(() => this.#startSending(), this.#options.batchMs);
  }

  #startSending(): void {
    this.#cancelBatchTimer?.();
    this.#cancelBatchTimer = null;
    if (this.#isSending || this.#queue.length === 0) return;
    this.#isSending = true;
    void this.#sendBatches();
  }

  /** Sends one batch, then full ones as long as there are any; the rest waits for the batch timer. */
  async #sendBatches(): Promise<void> {
    do {
      await this.#deliver(this.#takeBatch());
      if (this.#isCloseTimedOut) this.#dropQueue();
    } while (this.#queue.length >= (this.#isClosing() ? 1 : this.#options.batchResults));
    this.#isSending = false;
    if (this.#queue.length > 0) this.#schedule();
    this.#wake();
  }

  #takeBatch(): readonly string[] {
    const batch = this.#queue.splice(0, this.#options.batchResults);
    for (const { canWait } of batch) if (canWait) this.#waitingResults -= 1;
    return batch.map(({ line }) => line);
  }

  async #deliver(results: readonly string[]): Promise<void> {
    this.#batches += 1;
    const batch = this.#batches;
    const head = JSON.stringify({ sink: this.id, batch, lostResults: this.#lostResults });
    const body = `${head.slice(0, -1)},"results":[${results.join(',')}]}`;
    const reason = await this.#sendWithRetries(body, `${this.#keyPrefix}-${batch}`);
    if (reason === null) this.#noteSuccess();
    else this.#reportLoss(results.length, `batch ${batch} was given up: ${reason}. ${countOf(results.length)} lost`);
    if (this.#waitingResults <= this.#options.maxQueuedResults / 2) this.#wake();
  }

  /** Returns null if the batch was delivered, else the reason why not. */
  async #sendWithRetries(body: string, key: string): Promise<string | null> {
    for (let attempt = 1; ; attempt++) {
      if (this.#isCloseTimedOut) return 'the sink was closed before it could be sent';
      const outcome = await this.#attempt(body, key);
      if (outcome.kind === 'delivered') return null;
      if (outcome.isFinal || this.#isCloseTimedOut) return outcome.reason;
      if (attempt >= this.#options.maxAttempts) return `${outcome.reason} (attempt ${attempt} of ${attempt})`;
      await this.#pause(retryDelayMs(attempt, this.#random(), this.#options, outcome.retryAfterMs));
    }
  }

  async #attempt(body: string, key: string) {
    const { timeoutMs } = this.#options;
    const request = new AbortController();
    this.#request = request;
    const cancel = this.#clock.setTimer(() => request.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const outcome = await attemptPost(fetch, this.#destination, body, key, request.signal);
    cancel();
    this.#request = null;
    return outcome;
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.setTimer(() => this.#endPause?.(), delayMs);
      this.#endPause = () => {
        this.#endPause = null;
        cancel();
        resolve();
      };
    });
  }

  #onCloseTimeout(): void {
    this.#isCloseTimedOut = true;
    this.#request?.abort(new Error(`not delivered within ${this.#options.closeMs} ms of closing`));
    this.#endPause?.();
  }

  #dropQueue(): void {
    const results = this.#queue.length;
    this.#queue = [];
    this.#waitingResults = 0;
    if (results > 0) this.#reportLoss(results, `${countOf(results)} not sent before the sink had to close`);
  }

  #noteSuccess(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#options.onRecovery?.();
  }

  #dropOldest(): void {
    const oldest = this.#queue.findIndex(({ canWait }) => !canWait);
    this.#queue.splice(oldest, 1);
    this.#lostResults += 1;
    this.#unreportedDrops += 1;
    const nowMs = this.#clock.now();
    if (nowMs - this.#overflowReportedMs < OVERFLOW_REPORT_MS) return;
    this.#overflowReportedMs = nowMs;
    const dropped = this.#unreportedDrops;
    this.#unreportedDrops = 0;
    const limit = this.#options.maxQueuedResults;
    this.#reportLoss(0, `the queue is full (${limit} results); ${countOf(dropped)} dropped, the oldest first`);
  }

  #reportLoss(results: number, message: string): void {
    this.#lostResults += results;
    this.#isFailing = true;
    this.#lastFailure = this.#failure(message);
    this.#options.onFailure(this.#lastFailure);
  }

  #failure(message: string): SightlineError {
    const { shownUrl } = this.#destination;
    return new SightlineError('SINK_FAILED', `sink ${this.id} (${shownUrl}): ${message}`, {
      sink: this.id,
      url: shownUrl,
      lostResults: this.#lostResults,
    });
  }

  #isClosing(): boolean {
    return this.#closing !== null;
  }

  #waitForProgress(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
