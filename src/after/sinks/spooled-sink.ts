import { join } from 'node:path';
import { type Clock, keepAliveClock } from '../../base/core/clock.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { backOffMs } from '../../base/flow/back-off.ts';
import { Pause } from '../../base/flow/pause.ts';
import { cloudEvent, type EventPhase, snapshotEvent } from '../../wire/protocol/rule-event.ts';
import { RETRY_MS, type SyncPolicy } from './line-writer.ts';
import { resultLine } from './result-line.ts';
import type { DeliveryListener, KeepState, Sink, SinkFailureListener, SinkFigures, SnapshotChannel } from './sink.ts';
import { countOf, fileFailure } from './sink-failure.ts';
import type { SinkFiles } from './sink-files.ts';
import type { Sent, SnapshotPart } from './sink-settings.ts';
import { Spool, type SpoolFailure, type SpoolOptions } from './spool.ts';
import { type Attempt, isEventText, outgoingRecord, type Transport } from './transport.ts';

/** Decides which events are sent. */
export interface EventLimit {
  /** Returns whether one more event may be sent. One that may not counts as lost. @param isSnapshot - it is the picture of one. */
  take(isSnapshot?: boolean): boolean;
  /** Goes on where an earlier process ended. */
  resume(kept: unknown, keep: (value: object) => void): void;
}

export interface SpooledSinkOptions {
  readonly id: string;
  readonly transport: Transport;
  /** What it sends; default results. */
  readonly send?: readonly Sent[];
  /** Only events with these phases; all if absent. */
  readonly phases?: readonly EventPhase[] | undefined;
  /** How many events may be sent. */
  readonly limit?: EventLimit;
  /** What a channel of alerts sends of pictures. */
  readonly snapshot?: SnapshotPart;
  /**
   * Folder of this sink alone in which results wait until they are delivered, also by the next process. Null: they wait in
   * memory, and what is not delivered when the sink closes is lost.
   */
  readonly spoolFolder?: string | null;
  /** Most bytes of waiting results of live streams, and as many again of files. */
  readonly maxSpoolBytes?: number;
  readonly sync?: SyncPolicy;
  /** Maximum results per batch. */
  readonly batchResults?: number;
  /** Maximum time that a result waits for others. */
  readonly batchMs?: number;
  /** Longest time of one attempt. */
  readonly timeoutMs?: number;
  /** Attempts before a batch that the receiver refuses is dropped. */
  readonly maxAttempts?: number;
  readonly firstRetryMs?: number;
  readonly maxRetryMs?: number;
  /** Upper bound of the wait that a receiver may ask for. */
  readonly maxRetryAfterMs?: number;
  /** Maximum time that `close` waits for the receiver. */
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

const DEFAULTS = {
  send: ['results'],
  snapshot: 'link',
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
} as const satisfies Partial<SpooledSinkOptions>;

const OVERFLOW_REPORT_MS = 1000;

/** Records that wait in one spool, and what became of others that did. */
interface Lane {
  readonly spool: Spool;
  sent: number;
  refused: number;
  /** Left when the sink closed. */
  failed: number;
  /** Were never in the spool. */
  unaccepted: number;
}

/**
 * Delivers results and events over a transport, each at least once, and in order for each stream whose policy does not change: they wait in
 * a spool on the disk, and one batch at a time is sent until the receiver has accepted it. What the receiver refuses is dropped after
 * `maxAttempts`; every other failure is retried for as long as it lasts. An outage that fills the spool costs the oldest results
 * of live streams, and makes files wait.
 */
export class SpooledSink implements Sink {
  readonly id: string;
  /** Absent if it sends no events. */
  readonly publishEvent?: NonNullable<Sink['publishEvent']>;
  /** Absent if it sends no pictures. */
  readonly openSnapshots?: () => SnapshotChannel;
  readonly #options: SpooledSinkOptions & Required<Pick<SpooledSinkOptions, keyof typeof DEFAULTS>>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #sendsResults: boolean;
  /** What it counts, in messages. */
  readonly #noun: string;
  readonly #live: Lane;
  readonly #file: Lane;
  /** Null unless it is a channel of alerts. */
  #snapshots: Lane | null = null;
  /** Index of the lane to send from next. */
  #turn = 0;
  #batches = 0;
  #retried = 0;
  #lostWhileFailing = 0;
  #isSending = false;
  #cancelBatchTimer: (() => void) | null = null;
  #attempt: AbortController | null = null;
  #onDelivery: DeliveryListener | null = null;
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

  constructor(options: SpooledSinkOptions) {
    this.id = options.id;
    this.#options = { ...DEFAULTS, ...options };
    const { send, phases, limit, snapshot } = this.#options;
    this.#sendsResults = send.includes('results');
    this.#noun = send.length > 1 ? 'record' : this.#sendsResults ? 'result' : 'event';
    if (send.includes('events'))
      this.publishEvent = (event, canWait, onKept) => {
        if (phases?.includes(event.phase) === false) {
          onKept?.();
          return true;
        }
        if (this.#closing !== null) return true;
        if (limit?.take() !== false) return this.#append(() => JSON.stringify(cloudEvent(event)), canWait, onKept);
        this.#live.unaccepted += 1;
        this.#noteDropped(1, 'more events came than may be sent');
        onKept?.();
        return true;
      };
    if (send.includes('events') && snapshot !== 'none') this.openSnapshots = () => this.#openSnapshots();
    this.#clock = options.clock ?? keepAliveClock;
    this.#pause = new Pause(this.#clock);
    this.#random = options.random ?? Math.random;
    this.#live = this.#openLane('live', 'drop-oldest');
    this.#file = this.#openLane('files', 'wait');
  }

  #openSnapshots(): SnapshotChannel {
    this.#snapshots ??= this.#openLane('snapshots', 'drop-oldest');
    const lane = this.#snapshots;
    const { limit, snapshot } = this.#options;
    const figures = (): SnapshotChannel['figures'] => {
      const { sent, waiting, lost } = figuresOf([lane]);
      return { sent, failed: sumOf(lost), pending: waiting };
    };
    return {
      get figures() {
        return figures();
      },
      send: (event, link, jpeg) => {
        if (this.#closing !== null) return;
        if (limit?.take(true) === false) {
          lane.unaccepted += 1;
          return;
        }
        const data = snapshot === 'data' ? { jpeg: Buffer.from(jpeg).toString('base64') } : {};
        lane.spool.append(JSON.stringify(snapshotEvent(event, { snapshot: link, ...data })));
        this.#schedule();
      },
    };
  }

  watchDeliveries(listener: DeliveryListener): void {
    this.#onDelivery = listener;
  }

  resume(kept: ReadonlyMap<string, unknown>, keep: KeepState): void {
    const key = `sink ${this.id}`;
    this.#options.limit?.resume(kept.get(key), (value) => keep(key, value));
  }

  publish(frame: PublishedFrame, source: string, canWait?: boolean): boolean {
    return !this.#sendsResults || this.#append(() => resultLine(frame, source), canWait);
  }

  #append(text: () => string, canWait = true, onKept?: () => void): boolean {
    if (this.#closing !== null) return true;
    const { spool } = canWait ? this.#file : this.#live;
    const hasRoom = spool.append(text(), onKept);
    this.#schedule();
    return hasRoom;
  }

  drained(): Promise<void> {
    return this.#closing === null ? this.#file.spool.drained() : Promise.resolve();
  }

  get figures(): SinkFigures {
    const failure = this.#lanes.map(({ spool }) => spool.failure).find((each) => each !== null) ?? null;
    return {
      problem:
        (failure === null ? null : `${this.#spoolFailure(failure).message}; ${this.#waitingText(this.#waiting)}`) ??
        this.#problem?.message ??
        null,
      ...figuresOf([this.#live, this.#file]),
      retried: this.#retried + this.#lanes.reduce((sum, { spool }) => sum + spool.figures.retried, 0),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  get #lanes(): readonly Lane[] {
    return [this.#live, this.#file, ...(this.#snapshots === null ? [] : [this.#snapshots])];
  }

  /** Records other than pictures. */
  get #recordsWaiting(): number {
    return this.#live.spool.waiting + this.#file.spool.waiting;
  }

  get #waiting(): number {
    return this.#recordsWaiting + (this.#snapshots?.spool.waiting ?? 0);
  }

  get #lostResults(): number {
    return sumOf(this.figures.lost);
  }

  #openLane(name: string, whenFull: SpoolOptions['whenFull']): Lane {
    const { spoolFolder, maxSpoolBytes, sync, files, clock } = this.#options;
    const spool = new Spool({
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
        this.#options.onNotice?.(`sink ${this.id}: ${this.#countOf(records)} left by an earlier run, to be sent first`);
        this.#startSending();
      },
      onDropped: (records) => this.#noteDropped(records, `the spool is full (${maxSpoolBytes} bytes), the oldest go`),
      clock,
      files,
    });
    return { spool, sent: 0, refused: 0, failed: 0, unaccepted: 0 };
  }

  async #finish(): Promise<void> {
    const cancelDeadline = this.#clock.setTimer(() => this.#giveUp(), this.#options.closeMs);
    // From now on batches are sent at once, full or not. After a failure only one more attempt is made.
    this.#pause.end();
    this.#startSending();
    while (this.#isSending) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    cancelDeadline();
    this.#cancelBatchTimer?.();
    const { transport } = this.#options;
    const closeLane = async (lane: Lane): Promise<void> => {
      lane.failed = await lane.spool.close();
    };
    await Promise.all([...this.#lanes.map(closeLane), transport.close?.()]);
    const { waiting } = this.figures;
    if (waiting > 0)
      this.#options.onNotice?.(
        `sink ${this.id}: ${this.#waitingText(waiting)} in ${this.#options.spoolFolder} for the next start`,
      );
    if (this.#lostResults === 0) return;
    const reason = this.#lastFailure === null ? '' : ` The last failure: ${this.#lastFailure.message}`;
    throw this.#failure(`${this.#countOf(this.#lostResults)} lost.${reason}`);
  }

  #schedule(): void {
    if (this.#isSending) return;
    if (this.#hasBatch) this.#startSending();
    else this.#cancelBatchTimer ??= this.#clock.setTimer(() => this.#startSending(), this.#options.batchMs);
  }

  get #hasBatch(): boolean {
    const least = this.#closing === null ? this.#options.batchResults : 1;
    if (this.#recordsWaiting === 0) return this.#waiting > 0;
    return this.#live.spool.waiting >= least || this.#file.spool.waiting >= least;
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
      for (let i = 0; i < 2 && !this.#isGivenUp; i++) {
        const lane = [this.#live, this.#file][this.#turn]!;
        this.#turn = 1 - this.#turn;
        if (await this.#deliver(lane)) hasTaken = true;
      }
      // A picture never comes before the message about its event.
      if (this.#snapshots !== null && this.#recordsWaiting === 0 && !this.#isGivenUp)
        if (await this.#deliver(this.#snapshots, 1)) hasTaken = true;
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
  async #deliver(lane: Lane, most = this.#options.batchResults): Promise<boolean> {
    const { spool } = lane;
    const records = await spool.take(most);
    if (records.length === 0) return false;
    this.#batches += 1;
    const texts = records.map(({ text }) => text);
    for (let done = 0; done < texts.length; ) {
      const rest = texts.slice(done);
      const outcome = await this.#sendWithRetries(rest);
      if (outcome === null) return true;
      const delivered = outcome.kind === 'delivered' ? rest.length : (outcome.delivered ?? 0);
      const answer = outcome.kind === 'delivered' && outcome.answer !== undefined ? { answer: outcome.answer } : {};
      this.#tell(rest.slice(0, delivered), { state: 'sent', ...answer });
      if (delivered > 0) {
        spool.acknowledge(delivered);
        lane.sent += delivered;
        done += delivered;
      }
      if (outcome.kind === 'delivered') {
        this.#problem = null;
        this.#recovered();
      } else if (outcome.isFinal) {
        const refused = outcome.delivered === undefined ? rest.length : 1;
        this.#tell(rest.slice(0, refused), { state: 'failed', answer: outcome.reason });
        spool.acknowledge(refused);
        done += refused;
        lane.refused += refused;
        this.#lostWhileFailing += refused;
        this.#report(`batch ${this.#batches} was given up: ${outcome.reason}. ${this.#countOf(refused)} lost`);
      }
    }
    return true;
  }

  /** @returns what was delivered, or given up; null if the batch stays in the spool. */
  async #sendWithRetries(texts: readonly string[]): Promise<Attempt | null> {
    const { maxAttempts, spoolFolder, transport } = this.#options;
    const batch = { number: this.#batches, lost: this.#lostResults, texts };
    for (let attempt = 1; ; attempt++) {
      if (this.#isGivenUp) return null;
      const outcome = await this.#try(() => transport.send(batch, this.#attempt!.signal));
      if (outcome.kind === 'delivered') return outcome;
      const { isFinal, delivered = 0, retryAfterMs, refusals } = outcome;
      const reason = `${outcome.reason} (attempt ${attempt})`;
      // What the receiver refuses time and again holds up the others no longer.
      if (isFinal && delivered === 0 && (refusals ?? attempt) >= maxAttempts) return { ...outcome, reason };
      // The attempts for the next record begin now.
      if (delivered > 0) return { ...outcome, isFinal: false };
      this.#noteFailedAttempt(`batch ${batch.number} could not be delivered: ${reason}`);
      const isKept = spoolFolder !== null;
      if (this.#closing !== null && (isKept || attempt >= maxAttempts)) this.#giveUp();
      if (this.#isGivenUp) return null;
      this.#retried += 1;
      // Others wait behind a record that is refused.
      const failures = refusals === undefined ? attempt : 1;
      const delayMs = retryDelayMs(failures, this.#random(), this.#options, retryAfterMs);
      const most = isFinal ? { mostAttempts: maxAttempts } : {};
      const nextMs = Date.now() + Math.round(delayMs);
      this.#tell(texts, { state: 'retried', answer: outcome.reason, attempt, ...most, nextMs });
      await this.#pause.wait(delayMs);
    }
  }

  async #try(send: () => Promise<Attempt>): Promise<Attempt> {
    const { timeoutMs } = this.#options;
    const attempt = new AbortController();
    this.#attempt = attempt;
    const cancel = this.#clock.setTimer(() => attempt.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const outcome = await send();
    cancel();
    this.#attempt = null;
    return outcome;
  }

  /** Reports what became of the beginnings of events among records; only to who asked, since they are read again for it. */
  #tell(texts: readonly string[], outcome: Omit<Parameters<DeliveryListener>[1], 'atMs'>): void {
    if (this.#onDelivery === null) return;
    for (const { event } of texts.filter(isEventText).map(outgoingRecord))
      if (event?.data.phase === 'new') this.#onDelivery(event.data.id, { ...outcome, atMs: Date.now() });
  }

  #giveUp(): void {
    this.#isGivenUp = true;
    this.#attempt?.abort(new Error(`not delivered within ${this.#options.closeMs} ms of closing`));
    this.#pause.end();
  }

  #noteFailedAttempt(message: string): void {
    const isFirst = this.#problem === null;
    this.#problem = this.#failure(`${message}; ${this.#waitingText(this.#waiting)}`);
    this.#lastFailure = this.#problem;
    if (isFirst) this.#options.onFailure(this.#problem);
  }

  #recovered(): void {
    const isWell = this.#problem === null && this.#lanes.every(({ spool }) => spool.failure === null);
    if (!isWell || this.#lastFailure === null) return;
    this.#lastFailure = null;
    this.#options.onRecovery?.(this.#lostWhileFailing);
    this.#lostWhileFailing = 0;
  }

  #noteDropped(records: number, reason: string): void {
    this.#lostWhileFailing += records;
    this.#unreportedDrops += records;
    const nowMs = this.#clock.now();
    if (nowMs - this.#overflowReportedMs < OVERFLOW_REPORT_MS) return;
    this.#overflowReportedMs = nowMs;
    const dropped = this.#unreportedDrops;
    this.#unreportedDrops = 0;
    this.#report(`${reason}; ${this.#countOf(dropped)} dropped`);
  }

  #report(message: string): void {
    this.#lastFailure = this.#failure(message);
    this.#options.onFailure(this.#lastFailure);
  }

  #spoolFailure({ action, error }: SpoolFailure): SightlineError {
    return fileFailure(this.id, this.#options.spoolFolder ?? 'the spool', error, undefined, action);
  }

  #failure(message: string): SightlineError {
    const { shownUrl } = this.#options.transport;
    return new SightlineError('SINK_FAILED', `sink ${this.id} (${shownUrl}): ${message}`, {
      sink: this.id,
      url: shownUrl,
      lostResults: this.#lostResults,
    });
  }

  #countOf(records: number): string {
    return countOf(records, this.#noun);
  }

  #waitingText(records: number): string {
    return records === 1 ? `1 ${this.#noun} waits` : `${records} ${this.#noun}s wait`;
  }
}

function figuresOf(lanes: readonly Lane[]): Pick<SinkFigures, 'sent' | 'waiting' | 'lost'> {
  const sum = (of: (lane: Lane) => number): number => lanes.reduce((total, lane) => total + of(lane), 0);
  return {
    sent: sum(({ sent }) => sent),
    waiting: sum(({ spool, failed }) => spool.waiting - failed),
    lost: {
      overflow: sum(({ spool, unaccepted }) => spool.figures.overflow + unaccepted),
      failed: sum(({ failed }) => failed),
      refused: sum(({ refused }) => refused),
      damaged: sum(({ spool }) => spool.figures.damaged),
    },
  };
}

function sumOf(lost: SinkFigures['lost']): number {
  return Object.values(lost).reduce((total, each) => total + each, 0);
}

/**
 * Returns the delay before the next attempt: `backOffMs`, with what the receiver asked for as a lower bound.
 *
 * @param attempt - number of failed attempts so far, from 1.
 * @param random - from 0 to 1.
 */
export function retryDelayMs(
  attempt: number,
  random: number,
  limits: { readonly firstRetryMs: number; readonly maxRetryMs: number; readonly maxRetryAfterMs: number },
  retryAfterMs: number | null,
): number {
  const ownMs = backOffMs(attempt, { firstMs: limits.firstRetryMs, maxMs: limits.maxRetryMs }, random);
  return retryAfterMs === null ? ownMs : Math.max(ownMs, Math.min(limits.maxRetryAfterMs, retryAfterMs));
}
