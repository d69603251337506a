import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { range, whole } from '../config/number.ts';
import { orPlaceholder } from '../config/placeholders.ts';
import { mark, mayHoldPlaceholders } from '../config/schema-text.ts';
import { type Clock, keepAliveClock } from '../core/clock.ts';
import type { PublishedFrame } from '../core/frame.ts';
import { redactWebhook } from '../core/redact.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { Pause } from '../flow/pause.ts';
import { RETRY_MS, type SyncPolicy } from './line-writer.ts';
import { resultLine } from './result-line.ts';
import type { Sink, SinkFailureListener, SinkFigures } from './sink.ts';
import { countOf, fileFailure } from './sink-failure.ts';
import type { SinkFiles } from './sink-files.ts';
import { sinkKind } from './sink-kind.ts';
import { filter, MEGABYTE, streams, sync } from './sink-settings.ts';
import { Spool, type SpoolFailure, type SpoolOptions } from './spool.ts';
import { takeSpoolFolder } from './spool-folder.ts';
import { type Attempt, attemptPost, type Destination, parseDestination, retryDelayMs } from './webhook-request.ts';

/** Results that wait in memory if there is no spool. */
const MEMORY_BYTES = 8 * MEGABYTE;
const LEAST_SECRET_CHARS = 16;
const webAddress = z.url({ protocol: /^https?$/ });
/** No name, or that of a header which the sink sets itself. */
const OTHER_HEADER = /[^A-Za-z0-9-]|^$|^(?:content-type|content-length|host|idempotency-key|sightline-.*)$/i;

export const webhook = sinkKind({
  settings: z.strictObject({
    type: z.literal('webhook').describe('Batches of results POSTed to a server.'),
    url: mayHoldPlaceholders(
      z.string().refine(
        orPlaceholder((text) => webAddress.safeParse(text).success),
        'expected an http or https URL',
      ),
    )
      .meta(mark({ secret: 'receiver' }))
      .describe('http or https URL where results are POSTed.'),
    headers: z
      .record(
        z.string(),
        mayHoldPlaceholders(
          z
            .string()
            .max(8192)
            .regex(/^[^\p{Cc}]*$/u, 'expected no control characters'),
        ),
      )
      .refine(
        (values) => !Object.keys(values).some((name) => OTHER_HEADER.test(name)),
        'expected names of letters, digits and dashes, and none that the sink sets itself',
      )
      .optional()
      .meta(mark({ secret: true }))
      .describe(`Sent with each request, such as {Authorization: "Bearer \${env:HOOK_TOKEN}"}.`),
    streams,
    filter,
    batchSize: whole(1, 1000).default(50).describe('Most frames in one request.'),
    maxAttempts: whole(1, 100)
      .default(8)
      .describe(
        'Attempts before a request that the receiver refuses is given up. Other failures are retried until they end.',
      ),
    secret: mayHoldPlaceholders(
      z.string().refine(
        orPlaceholder(({ length }) => length >= LEAST_SECRET_CHARS),
        `expected at least ${LEAST_SECRET_CHARS} characters`,
      ),
    )
      .optional()
      .meta(mark({ secret: true }))
      .describe('Signs each request with HMAC-SHA256; see docs/alerts.md.'),
    spoolFolder: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Folder of this sink alone where results wait until they are delivered; below the cache folder if absent.',
      ),
    spoolMaxMb: range(0, 1_000_000)
      .default(256)
      .describe(
        'Most megabytes that results of live streams wait in, and as many for files; 0 keeps at most 8 in memory.',
      ),
    sync,
  }),
  file: () => null,
  target: ({ url }) => redactWebhook(url),
  open: async ({ url, headers, batchSize, maxAttempts, secret, spoolFolder, spoolMaxMb, sync }, context) => {
    const { folder, lock } =
      spoolMaxMb === 0
        ? { folder: null, lock: null }
        : await takeSpoolFolder({ id: context.id, receiver: url, folder: spoolFolder, parent: context.spoolFolder });
    const sink = new WebhookSink({
      ...{ ...context, url, secret, maxAttempts, sync, batchResults: batchSize, spoolFolder: folder },
      ...(headers === undefined ? {} : { headers }),
      maxSpoolBytes: spoolMaxMb === 0 ? MEMORY_BYTES : Math.round(spoolMaxMb * MEGABYTE),
    });
    return { sink, lock };
  },
});

export interface WebhookSinkOptions {
  readonly id: string;
  /** http or https; `user:password@` becomes an Authorization header. */
  readonly url: string;
  /** Sent with each request; values are never printed. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Signs each request, see docs/alerts.md; never printed. */
  readonly secret?: string | undefined;
  /**
   * Folder of this sink alone in which results wait until they are delivered, also by the next process. Null: they wait in
   * memory, and what is not delivered when the sink closes is lost.
   */
  readonly spoolFolder?: string | null;
  /** Most bytes of waiting results of live streams, and as many again of files. */
  readonly maxSpoolBytes?: number;
  readonly sync?: SyncPolicy;
  /** Maximum results per request. */
  readonly batchResults?: number;
  /** Maximum time that a result waits for others. */
  readonly batchMs?: number;
  /** Longest time of one attempt. */
  readonly timeoutMs?: number;
  /** Attempts before a batch that the receiver refuses is dropped. */
  readonly maxAttempts?: number;
  readonly firstRetryMs?: number;
  readonly maxRetryMs?: number;
  /** Upper bound of the server's `Retry-After`. */
  readonly maxRetryAfterMs?: number;
  /** Maximum time that `close` waits for the server. */
  readonly closeMs?: number;
  /** Called at the first failed attempt, for each batch that is dropped, and at most once a second for results dropped from a full spool. */
  readonly onFailure: SinkFailureListener;
  /** Called when a batch is delivered after a failure. @param lostResults - since then. */
  readonly onRecovery?: (lostResults: number) => void;
  readonly onNotice?: (text: string) => void;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly files?: SinkFiles;
}

const WEBHOOK_DEFAULTS = {
  spoolFolder: null,
  maxSpoolBytes: 256 * 1024 * 1024,
  sync: 'interval',
  batchResults: 50,
  batchMs: 1000,
  timeoutMs: 10_000,
  maxAttempts: 8,
  firstRetryMs: 500,
  maxRetryMs: 30_000,
  maxRetryAfterMs: 300_000,
  closeMs: 5_000,
} as const satisfies Partial<WebhookSinkOptions>;

const OVERFLOW_REPORT_MS = 1000;
const KEY_DIGITS = 32;

/**
 * Posts results in batches: `{"sink", "batch", "lostResults", "results": [...]}`, each result as in a JSONL line.
 *
 * Each result is delivered at least once, and in order for each stream whose policy does not change: results wait in a spool on the disk,
 * and one batch at a time is sent until the receiver has accepted it. An answer that refuses a batch (3xx, 4xx other than 408, 425 and 429) drops it after
 * `maxAttempts`; every other failure is retried for as long as it lasts. An outage that fills the spool costs the oldest results
 * of live streams, and makes files wait. Batches have the same `Idempotency-Key` if they hold the same results.
 */
export class WebhookSink implements Sink {
  readonly id: string;
  readonly #options: WebhookSinkOptions & Required<Pick<WebhookSinkOptions, keyof typeof WEBHOOK_DEFAULTS>>;
  readonly #destination: Destination;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #live: Spool;
  readonly #file: Spool;
  /** Index of the spool to send from next. */
  #turn = 0;
  #batches = 0;
  #sent = 0;
  #retried = 0;
  #refused = 0;
  #failed = 0;
  #lostWhileFailing = 0;
  #isSending = false;
  #cancelBatchTimer: (() => void) | null = null;
  #request: AbortController | null = null;
  readonly #pause: Pause;
  #whenIdle: (() => void)[] = [];
  #unreportedDrops = 0;
  #overflowReportedMs = -Infinity;
  /** Why the receiver got no batch last time; null while it accepts them. */
  #problem: SightlineError | null = null;
  #lastFailure: SightlineError | null = null;
  #closing: Promise<void> | null = null;
  /** `close` has given up: no more attempts are made. */
  #isGivenUp = false;

  /** @throws CONFIG_INVALID if `url` is not an http or https address. */
  constructor(options: WebhookSinkOptions) {
    this.id = options.id;
    this.#options = { ...WEBHOOK_DEFAULTS, ...options };
    this.#destination = parseDestination(options.id, options.url, options.headers ?? {}, options.secret);
    this.#clock = options.clock ?? keepAliveClock;
    this.#pause = new Pause(this.#clock);
    this.#random = options.random ?? Math.random;
    this.#live = this.#openSpool('live', 'drop-oldest');
    this.#file = this.#openSpool('files', 'wait');
  }

  publish(frame: PublishedFrame, source: string, canWait = true): boolean {
    if (this.#closing !== null) return true;
    const spool = canWait ? this.#file : this.#live;
    const hasRoom = spool.append(resultLine(frame, source));
    this.#schedule();
    return hasRoom;
  }

  drained(): Promise<void> {
    return this.#closing === null ? this.#file.drained() : Promise.resolve();
  }

  get figures(): SinkFigures {
    const spools = this.#spools.map(({ figures }) => figures);
    const failure = this.#spools.map((spool) => spool.failure).find((each) => each !== null) ?? null;
    const sum = (key: 'overflow' | 'damaged' | 'retried'): number =>
      spools.reduce((total, each) => total + each[key], 0);
    return {
      problem: this.#problem?.message ?? (failure === null ? null : this.#spoolFailure(failure).message),
      sent: this.#sent,
      waiting: this.#waiting - this.#failed,
      retried: this.#retried + sum('retried'),
      lost: { overflow: sum('overflow'), failed: this.#failed, refused: this.#refused, damaged: sum('damaged') },
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  get #spools(): readonly [Spool, Spool] {
    return [this.#live, this.#file];
  }

  get #waiting(): number {
    return this.#live.waiting + this.#file.waiting;
  }

  get #lostResults(): number {
    const { lost } = this.figures;
    return Object.values(lost).reduce((total, each) => total + each, 0);
  }

  #openSpool(name: string, whenFull: SpoolOptions['whenFull']): Spool {
    const { spoolFolder, maxSpoolBytes, sync, files, clock } = this.#options;
    return new Spool({
      folder: spoolFolder === null ? null : join(spoolFolder, name),
      maxBytes: maxSpoolBytes,
      whenFull,
      sync,
      onFailure: (failure) => {
        this.#lastFailure = this.#spoolFailure(failure);
        this.#options.onFailure(this.#lastFailure);
      },
      onRecovery: () => this.#recovered(),
      onFound: (records) => {
        this.#options.onNotice?.(`sink ${this.id}: ${countOf(records)} left by an earlier run, to be sent first`);
        this.#startSending();
      },
      onDropped: (records) => this.#noteDropped(records),
      clock,
      files,
    });
  }

  async #finish(): Promise<void> {
    const cancelDeadline = this.#clock.setTimer(() => this.#giveUp(), this.#options.closeMs);
    // From now on batches are sent at once, full or not. After a failure only one more attempt is made.
    this.#pause.end();
    this.#startSending();
    while (this.#isSending) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    cancelDeadline();
    this.#cancelBatchTimer?.();
    const unwritten = await Promise.all(this.#spools.map((spool) => spool.close()));
    this.#failed = unwritten[0]! + unwritten[1]!;
    const { waiting } = this.figures;
    if (waiting > 0)
      this.#options.onNotice?.(
        `sink ${this.id}: ${waitingText(waiting)} in ${this.#options.spoolFolder} for the next start`,
      );
    if (this.#lostResults === 0) return;
    const reason = this.#lastFailure === null ? '' : ` The last failure: ${this.#lastFailure.message}`;
    throw this.#failure(`${countOf(this.#lostResults)} lost.${reason}`);
  }

  #schedule(): void {
    if (this.#isSending) return;
    if (this.#hasBatch) this.#startSending();
    else this.#cancelBatchTimer ??= this.#clock.setTimer(() => this.#startSending(), this.#options.batchMs);
  }

  get #hasBatch(): boolean {
    const least = this.#closing === null ? this.#options.batchResults : 1;
    return this.#spools.some(({ waiting }) => waiting >= least);
  }

  #startSending(): void {
    this.#cancelBatchTimer?.();
    this.#cancelBatchTimer = null;
    if (this.#isSending) return;
    this.#isSending = true;
    void this.#sendBatches();
  }

  /** Sends what there is, then full batches as long as there are any; the rest waits for the batch timer. */
  async #sendBatches(): Promise<void> {
    do {
      let hasTaken = false;
      for (let i = 0; i < this.#spools.length && !this.#isGivenUp; i++) {
        const spool = this.#spools[this.#turn]!;
        this.#turn = 1 - this.#turn;
        if (await this.#deliver(spool)) hasTaken = true;
      }
      if (!hasTaken && this.#waiting > 0) await this.#waitForDisk();
    } while (this.#hasBatch && !this.#isGivenUp);
    this.#isSending = false;
    if (this.#waiting > 0 && this.#closing === null) this.#schedule();
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** The results that wait cannot be read now. When the sink closes they stay on the disk. */
  async #waitForDisk(): Promise<void> {
    if (this.#closing === null) await this.#pause.wait(RETRY_MS);
    else this.#giveUp();
  }

  /** @returns false if there is no result to send now. */
  async #deliver(spool: Spool): Promise<boolean> {
    const records = await spool.take(this.#options.batchResults);
    if (records.length === 0) return false;
    this.#batches += 1;
    const batch = this.#batches;
    const results = records.map(({ text }) => text).join(',');
    const head = JSON.stringify({ sink: this.id, batch, lostResults: this.#lostResults });
    const key = createHash('sha256').update(results).digest('hex').slice(0, KEY_DIGITS);
    const outcome = await this.#sendWithRetries(`${head.slice(0, -1)},"results":[${results}]}`, key, batch);
    if (outcome === null) return true;
    spool.acknowledge();
    if (outcome.kind === 'delivered') {
      this.#sent += records.length;
      this.#problem = null;
      this.#recovered();
      return true;
    }
    this.#refused += records.length;
    this.#lostWhileFailing += records.length;
    this.#report(`batch ${batch} was given up: ${outcome.reason}. ${countOf(records.length)} lost`);
    return true;
  }

  /** Returns null if the batch stays in the spool. */
  async #sendWithRetries(body: string, key: string, batch: number): Promise<Attempt | null> {
    const { maxAttempts } = this.#options;
    for (let attempt = 1; ; attempt++) {
      if (this.#isGivenUp) return null;
      const outcome = await this.#attempt(body, key);
      if (outcome.kind === 'delivered') return outcome;
      const reason = `${outcome.reason} (attempt ${attempt})`;
      if (outcome.isFinal && attempt >= maxAttempts) return { ...outcome, reason };
      this.#noteFailedAttempt(`batch ${batch} could not be delivered: ${reason}`);
      const isKept = this.#options.spoolFolder !== null;
      if (this.#closing !== null && (isKept || attempt >= maxAttempts)) this.#giveUp();
      if (this.#isGivenUp) return null;
      this.#retried += 1;
      await this.#pause.wait(retryDelayMs(attempt, this.#random(), this.#options, outcome.retryAfterMs));
    }
  }

  async #attempt(body: string, key: string): Promise<Attempt> {
    const { timeoutMs } = this.#options;
    const request = new AbortController();
    this.#request = request;
    const cancel = this.#clock.setTimer(() => request.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const outcome = await attemptPost(fetch, this.#destination, body, key, request.signal);
    cancel();
    this.#request = null;
    return outcome;
  }

  #giveUp(): void {
    this.#isGivenUp = true;
    this.#request?.abort(new Error(`not delivered within ${this.#options.closeMs} ms of closing`));
    this.#pause.end();
  }

  #noteFailedAttempt(message: string): void {
    const isFirst = this.#problem === null;
    this.#problem = this.#failure(`${message}; ${waitingText(this.#waiting)}`);
    this.#lastFailure = this.#problem;
    if (isFirst) this.#options.onFailure(this.#problem);
  }

  #recovered(): void {
    const isWell = this.#problem === null && this.#spools.every(({ failure }) => failure === null);
    if (!isWell || this.#lastFailure === null) return;
    this.#lastFailure = null;
    this.#options.onRecovery?.(this.#lostWhileFailing);
    this.#lostWhileFailing = 0;
  }

  #noteDropped(records: number): void {
    this.#lostWhileFailing += records;
    this.#unreportedDrops += records;
    const nowMs = this.#clock.now();
    if (nowMs - this.#overflowReportedMs < OVERFLOW_REPORT_MS) return;
    this.#overflowReportedMs = nowMs;
    const dropped = this.#unreportedDrops;
    this.#unreportedDrops = 0;
    const limit = this.#options.maxSpoolBytes;
    this.#report(`the spool is full (${limit} bytes); ${countOf(dropped)} dropped, the oldest first`);
  }

  #report(message: string): void {
    this.#lastFailure = this.#failure(message);
    this.#options.onFailure(this.#lastFailure);
  }

  #spoolFailure({ action, error }: SpoolFailure): SightlineError {
    return fileFailure(this.id, this.#options.spoolFolder ?? 'the spool', error, undefined, action);
  }

  #failure(message: string): SightlineError {
    const { shownUrl } = this.#destination;
    return new SightlineError('SINK_FAILED', `sink ${this.id} (${shownUrl}): ${message}`, {
      sink: this.id,
      url: shownUrl,
      lostResults: this.#lostResults,
    });
  }
}

function waitingText(results: number): string {
  return results === 1 ? '1 result waits' : `${results} results wait`;
}
