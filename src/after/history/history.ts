import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { z } from 'zod';
import { type Clock, systemClock } from '../../base/core/clock.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import { THREAD_LIMITS, workerEntry } from '../../base/core/worker-entry.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { BackOff } from '../../base/flow/back-off.ts';
import type { KeptPicture, PictureMoment } from '../../wire/protocol/event-picture.ts';
import type { EventMessage } from '../../wire/protocol/feed.ts';
import type { HeatReply, HistoryReply, SimilarReply, StreamsReply } from '../../wire/protocol/rest.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';
import type { EventKeeper } from '../events/event-desk.ts';
import type { SeeingSpan } from '../events/seeing-ledger.ts';
import { OutputLock } from '../sinks/output-lock.ts';
import { FrameTally } from './frame-tally.ts';
import type {
  EventPage,
  EventQuery,
  FromHistory,
  HistoryCalls,
  HistoryThreadData,
  HistoryWrite,
  SimilarQuery,
} from './history-records.ts';
import { NEWEST_S, StreamFigures } from './stream-figures.ts';
import { TrackVectors } from './track-vectors.ts';

/** Figures are written once a minute, so that a busy host writes each row once. */
const FLUSH_MS = 60_000;
/** Records that are written again if the file is lost. Sinks that are down keep theirs, so few wait. */
const MOST_UNMARKED = 1000;
/** Records whose announcement may still come. */
const MOST_RECORDED = 1000;
/** Marks are collected: a mark that is lost only means that a record is delivered twice. */
const MARKS_MS = 200;
/** A disk that does not answer must not hold anybody up for longer. */
const ANSWER_MS = 10_000;
/** Requests that wait for a disk that does not answer; beyond, new ones are refused. */
const MOST_WAITING = 10_000;
const RESTART = { firstMs: 1000, maxMs: 60_000 };
/** Threads in a row that end before they have answered: a missing module or a damaged installation, which another attempt does not mend. */
const MOST_FAILED_STARTS = 3;

export interface HistoryOptions extends HistoryThreadData {
  readonly onNotice: (text: string) => void;
  /** Script of the thread. */
  readonly entry?: URL | undefined;
  readonly clock?: Clock | undefined;
  /** Milliseconds since 1970. */
  readonly wallMs?: (() => number) | undefined;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * What happened, on the disk: events, counts, occupancy, heat maps, figures. SQLite runs in a thread of its own. Nothing that is wrong
 * with the disk or the file stops a stream: it is a notice, and what cannot be kept is counted.
 */
export class History {
  readonly #options: HistoryOptions;
  readonly #clock: Clock;
  readonly #wallMs: () => number;
  readonly #path: string | null;
  readonly #lock: OutputLock | null;
  #tally = new FrameTally();
  readonly #figures = new StreamFigures();
  readonly #vectors: TrackVectors | null;
  readonly #waiting = new Map<number, Waiting>();
  readonly #restarts = new BackOff(RESTART);
  #worker: Worker | null = null;
  #failedStarts = 0;
  /** Whether the thread that runs, or ran last, has started. */
  #hasAnswered = false;
  #failure: string | null = null;
  #refusal: string | null = null;
  #onFailure: (failure: string) => void = () => {};
  /** What a listener that comes later is told. */
  readonly #renewals: string[] = [];
  #onRenewed: (text: string) => void = (text) => this.#renewals.push(text);
  #requests = 0;
  #lostInThread = 0;
  #lostHere = 0;
  #marks: [id: string, seq: number][] = [];
  /** Null: it is no longer needed. */
  readonly #kept = new Map<string, object | null>();
  /** The sinks that have a record, while others lack it, by the key under which they are kept. */
  readonly #given = new Map<string, { readonly sinks: string[]; isWritten: boolean; isChanged: boolean }>();
  /** Records that some sink lacks, by their keys. */
  readonly #unmarked = new Map<string, RuleEvent>();
  /** Records that were just written. */
  readonly #recorded = new Set<string>();
  #cancelMarks: (() => void) | null = null;
  #cancelFlush: () => void = () => {};
  #cancelRestart: () => void = () => {};
  #closing: Promise<void> | null = null;

  private constructor(options: HistoryOptions, path: string | null, lock: OutputLock | null) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#wallMs = options.wallMs ?? Date.now;
    this.#path = path;
    this.#lock = lock;
    this.#vectors = (options.embeddingsMs ?? 0) > 0 ? new TrackVectors() : null;
  }

  /**
   * Opens the file, or makes it. Never rejects for what is wrong with it: a damaged one is set aside, and one that cannot be used, or that another
   * process uses, is replaced by a history in memory; a notice says so.
   */
  static async open(options: HistoryOptions): Promise<History> {
    let { path } = options;
    let lock: OutputLock | null = null;
    try {
      if (path !== null) {
        // Without the folder there can be no lock. What is wrong with it, the thread says.
        await mkdir(dirname(path), { recursive: true }).catch(() => undefined);
        lock = await OutputLock.take(path, 'history');
      }
    } catch (error) {
      const { pid } = SightlineError.from(error, 'SINK_BUSY').details;
      const owner = pid === process.pid ? 'this process' : `process ${pid ?? 'of another machine'}`;
      options.onNotice(`${owner} has the history ${path} already; this one is in memory until the next start`);
      path = null;
    }
    const history = new History(options, path, lock);
    history.#start();
    history.#scheduleFlush();
    // Notices of a bad file come before its first user.
    await history.#write({ type: 'delivered', records: [], kept: [], timeMs: 0 });
    return history;
  }

  /** Why its thread cannot be started; null unless that is so. It is not tried again: events are not kept, figures of the last minutes are. */
  get failure(): string | null {
    return this.#failure;
  }

  /** Why nothing is written now, and what waits; null if it is. */
  get problem(): string | null {
    return this.#failure ?? this.#refusal;
  }

  /** Calls a listener when the thread cannot be started, or at once if that is known. It replaces an earlier one. */
  whenFailed(listener: (failure: string) => void): void {
    this.#onFailure = listener;
    if (this.#failure !== null) listener(this.#failure);
  }

  /** Calls a listener when another file goes on in place of one that was damaged, removed or replaced, and with what was so at the start. It replaces an earlier one. */
  whenRenewed(listener: (text: string) => void): void {
    this.#onRenewed = listener;
    for (const text of this.#renewals.splice(0)) listener(text);
  }

  /** Events and batches of figures that could not be kept. */
  get lost(): number {
    return this.#lostInThread + this.#lostHere;
  }

  /** Writes records of rules, in the order of the calls. Resolves to whether they will survive the process and a power failure. */
  async record(...events: RuleEvent[]): Promise<boolean> {
    for (const event of events) this.#unmarked.set(recordKey(event), event);
    deleteOldest(this.#unmarked, MOST_UNMARKED);
    const isKept = await this.#write({ type: 'records', events, timeMs: this.#wallMs() });
    if (isKept) for (const event of events) this.#recorded.add(recordKey(event));
    deleteOldest(this.#recorded, MOST_RECORDED);
    return isKept;
  }

  /** Notes that a sink has a record, while others lack it. */
  given(id: string, seq: number, sink: string): void {
    const key = givenKey(id, seq);
    const known = this.#given.get(key);
    if (known === undefined) this.#given.set(key, { sinks: [sink], isWritten: false, isChanged: true });
    else {
      known.sinks.push(sink);
      known.isChanged = true;
    }
    this.#cancelMarks ??= this.#clock.setTimer(() => this.#flushMarks(), MARKS_MS);
  }

  /** Notes that all sinks have a record. */
  delivered(id: string, seq: number): void {
    this.#marks.push([id, seq]);
    this.#unmarked.delete(recordKey({ id, seq }));
    const key = givenKey(id, seq);
    if (this.#given.get(key)?.isWritten === true) this.#kept.set(key, null);
    this.#given.delete(key);
    this.#cancelMarks ??= this.#clock.setTimer(() => this.#flushMarks(), MARKS_MS);
  }

  /** Keeps what a limit depends on, together with the marks of the records that came before it and right after it. */
  keep(key: string, value: object): void {
    this.#kept.set(key, value);
    this.#cancelMarks ??= this.#clock.setTimer(() => this.#flushMarks(), MARKS_MS);
  }

  /**
   * Returns what an earlier process left: records that a sink did not get, in order, each with the sinks that did; the last record of each event
   * without an end; and what it kept.
   */
  async unfinished(): ReturnType<EventKeeper['unfinished']> {
    this.#flushMarks();
    const none = { undelivered: [], open: [], kept: new Map<string, unknown>() };
    const { undelivered, open, kept } = await this.#ask('unfinished').catch(() => none);
    const found = undelivered.map((event) => {
      const key = givenKey(event.id, event.seq);
      const { data } = givenSinks.safeParse(kept.get(key));
      if (data !== undefined) this.#given.set(key, { ...data, isWritten: true, isChanged: false });
      return { event, given: [...(data?.sinks ?? [])] };
    });
    return { undelivered: found, open, kept };
  }

  /** Adds an event. A record of a rule that was already written is left as it is. */
  add(event: EventMessage): void {
    // What people are told of it is in its record.
    if (event.rule !== undefined && this.#recorded.delete(recordKey(event.rule))) return;
    void this.#write({ type: 'event', event });
  }

  /** Goes on with what was counted before. Call it before the first `observe`. */
  adopt(tally: FrameTally): void {
    this.#tally = tally;
  }

  /** Counts what is in a result. Call it for each frame, on its way to the sinks. */
  observe(frame: PublishedFrame): void {
    const nowMs = this.#wallMs();
    this.#tally.observe(frame, nowMs);
    if (this.#vectors?.observe(frame, nowMs) === true) this.#flush();
  }

  /** Adds times in which a stream was watched, or was not. @param untilMs - now, by their clock. */
  watched(stream: string, spans: readonly SeeingSpan[], untilMs: number): void {
    this.#tally.addSeeing(stream, spans, this.#wallMs() - untilMs);
  }

  /** Adds the figures of all streams, once a second. */
  addReport(report: Pick<StreamsReply, 'timeMs' | 'streams'>): void {
    this.#figures.add(report);
  }

  /** @returns a page of events, newest first. @throws HISTORY_UNAVAILABLE, as all questions do */
  page(query: EventQuery): Promise<EventPage> {
    return this.#ask('page', query);
  }

  /** @returns the newest events, newest last. Without `kinds`, no kind takes more than a quarter while there are others. */
  newest(query: EventQuery): Promise<EventMessage[]> {
    return this.#ask('newest', query);
  }

  counts(query: Parameters<HistoryCalls['counts']>[0]): Promise<ReturnType<HistoryCalls['counts']>> {
    this.#flush();
    return this.#ask('counts', query);
  }

  seen(query: Parameters<HistoryCalls['seen']>[0]): Promise<ReturnType<HistoryCalls['seen']>> {
    this.#flush();
    return this.#ask('seen', query);
  }

  occupancy(query: Parameters<HistoryCalls['occupancy']>[0]): Promise<ReturnType<HistoryCalls['occupancy']>> {
    this.#flush();
    return this.#ask('occupancy', query);
  }

  heat(query: Parameters<HistoryCalls['heat']>[0]): Promise<HeatReply> {
    this.#flush();
    return this.#ask('heat', query);
  }

  /** Keeps a picture of an event; what cannot be kept is not counted, since the event itself is. */
  picture({ id }: RuleEvent, picture: KeptPicture): void {
    void this.#ask('write', { type: 'picture', event: id, picture }).catch(() => undefined);
  }

  /** The picture of an event; null if none is kept. */
  pictureOf(event: string, moment: PictureMoment): Promise<KeptPicture | null> {
    return this.#ask('picture', { event, moment });
  }

  /** Objects that look like another one, the most similar first. */
  similar(query: SimilarQuery): Promise<SimilarReply> {
    this.#flush();
    return this.#ask('similar', query);
  }

  /** @param seconds - how far back. Null for a stream without figures. */
  async figures(stream: string, seconds: number): Promise<HistoryReply | null> {
    const newest = this.#figures.newest(stream, seconds);
    if (seconds <= NEWEST_S) return newest;
    this.#flush();
    const stepS = seconds <= 3600 ? 10 : seconds <= 86_400 ? 60 : 3600;
    const nowS = newest === null ? this.#wallMs() / 1000 : this.#figures.nowS;
    const found = await this.#ask('figures', { stream, fromS: nowS - seconds, stepS });
    return newest === null && found.times.length === 0 ? null : found;
  }

  /** Ends the thread as a crash would, for fault tests. */
  async crash(): Promise<void> {
    await this.#worker?.terminate();
  }

  /** Writes what is left. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #start(): void {
    const { maxBytes, days, embeddingsMs } = this.#options;
    const workerData: HistoryThreadData = { path: this.#path, maxBytes, days, embeddingsMs };
    const worker = new Worker(this.#options.entry ?? workerEntry('history.thread'), {
      workerData,
      resourceLimits: THREAD_LIMITS,
    });
    this.#worker = worker;
    let why = '';
    worker.on('message', (message: FromHistory) => this.#onMessage(message));
    worker.on('error', (error) => {
      why = `: ${error.message}`;
    });
    worker.once('exit', (code) => this.#onExit(why === '' ? `, exit code ${code}` : why));
  }

  #onMessage(message: FromHistory): void {
    switch (message.type) {
      case 'notice':
        this.#options.onNotice(message.text);
        return;
      case 'renewed':
        this.#renew(message.text);
        return;
      case 'problem':
        this.#refusal = message.problem;
        return;
      case 'lost':
        this.#lostInThread = message.count;
        return;
      case 'answer':
        this.#settle(message.id, ({ resolve }) => resolve(message.value));
        return;
      case 'written':
        for (const id of message.ids) this.#settle(id, ({ resolve }) => resolve(message.value));
        return;
      case 'refusal':
        this.#settle(message.id, ({ reject }) => reject(unavailable(message.message)));
    }
  }

  /** What the lost file had, and the new one may not get from it. */
  #renew(text: string): void {
    this.#options.onNotice(text);
    this.#onRenewed(text);
    const events = [...this.#unmarked.values()];
    if (events.length > 0) void this.#write({ type: 'records', events, timeMs: this.#wallMs() });
  }

  #settle(id: number, settle: (waiting: Waiting) => void): void {
    this.#restarts.reset();
    this.#failedStarts = 0;
    this.#hasAnswered = true;
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting !== undefined) settle(waiting);
  }

  #onExit(why: string): void {
    this.#worker = null;
    this.#refusal = null;
    this.#lostHere += this.#lostInThread;
    this.#lostInThread = 0;
    for (const { reject } of this.#waiting.values()) reject(unavailable('its thread ended'));
    this.#waiting.clear();
    if (this.#closing !== null) return;
    if (this.#hasAnswered) this.#options.onNotice(`the thread of the history ended${why}; it is started again`);
    else this.#failedStarts += 1;
    this.#hasAnswered = false;
    if (this.#failedStarts === MOST_FAILED_STARTS) this.#fail(why);
    else this.#cancelRestart = this.#clock.setTimer(() => this.#start(), this.#restarts.nextMs());
  }

  #fail(why: string): void {
    this.#failure = `the history is not kept: its thread cannot be started${why}`;
    this.#options.onNotice(`${this.#failure}; all else goes on, and the next start of this process tries again`);
    this.#onFailure(this.#failure);
  }

  /** Resolves to whether it is on the disk; counts what is not kept at all. */
  async #write(write: HistoryWrite): Promise<boolean> {
    try {
      return await this.#ask('write', write);
    } catch {
      if (write.type !== 'delivered') this.#lostHere += write.type === 'records' ? write.events.length : 1;
      return false;
    }
  }

  #ask<K extends keyof HistoryCalls>(
    method: K,
    ...[argument]: Parameters<HistoryCalls[K]>
  ): Promise<ReturnType<HistoryCalls[K]>> {
    const worker = this.#worker;
    if (worker === null)
      return Promise.reject(
        unavailable(this.#failure === null ? 'its thread does not run' : 'its thread cannot be started'),
      );
    if (this.#waiting.size >= MOST_WAITING) return Promise.reject(unavailable('its disk does not answer'));
    const id = this.#requests++;
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.setTimer(() => reject(unavailable('its disk does not answer')), ANSWER_MS);
      const settled = <T>(settle: (value: T) => void): ((value: T) => void) => {
        return (value) => {
          cancel();
          settle(value);
        };
      };
      this.#waiting.set(id, {
        resolve: settled(resolve as (value: unknown) => void),
        reject: settled(reject),
      });
      worker.postMessage({ id, method, argument });
    });
  }

  #scheduleFlush(): void {
    this.#cancelFlush = this.#clock.setTimer(() => {
      this.#flush();
      this.#scheduleFlush();
    }, FLUSH_MS);
  }

  #flush(): void {
    const figures = this.#figures.take();
    const batch = { ...this.#tally.take(this.#wallMs()), figures, embeddings: this.#vectors?.take() ?? [] };
    if (Object.values(batch).some((rows) => rows.length > 0)) void this.#write({ type: 'figures', batch });
  }

  #flushMarks(): void {
    this.#cancelMarks?.();
    this.#cancelMarks = null;
    const records = this.#marks;
    this.#marks = [];
    for (const [key, known] of this.#given) {
      if (known.isChanged) this.#kept.set(key, { sinks: known.sinks });
      known.isWritten = true;
      known.isChanged = false;
    }
    const kept = [...this.#kept];
    this.#kept.clear();
    if (records.length > 0 || kept.length > 0)
      void this.#write({ type: 'delivered', records, kept, timeMs: this.#wallMs() });
  }

  async #close(): Promise<void> {
    this.#cancelFlush();
    this.#cancelRestart();
    this.#flushMarks();
    this.#flush();
    const worker = this.#worker;
    await this.#ask('close').catch(() => undefined);
    // It ends by itself, unless its disk does not answer.
    void worker?.terminate();
    await this.#lock?.release();
  }
}

function unavailable(why: string): SightlineError {
  return new SightlineError('HISTORY_UNAVAILABLE', `the history cannot answer: ${why}`);
}

const givenSinks = z.object({ sinks: z.array(z.string()) });

function givenKey(id: string, seq: number): string {
  return `given ${id} ${seq}`;
}

function recordKey({ id, seq }: Pick<RuleEvent, 'id' | 'seq'>): string {
  return `${id} ${seq}`;
}

function deleteOldest(known: Map<string, unknown> | Set<string>, most: number): void {
  for (const key of known.keys()) {
    if (known.size <= most) return;
    known.delete(key);
  }
}
