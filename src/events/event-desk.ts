import type { StreamConfig } from '../config/stream.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import type { PublishedFrame } from '../core/frame.ts';
import type { BlindReason, StreamReport } from '../protocol/report.ts';
import { type EventEnd, endOf, type RuleEvent } from '../protocol/rule-event.ts';
import { SeeingLedger } from './seeing-ledger.ts';
import { StreamEvents } from './stream-events.ts';

/** Where events are kept, so that a kill loses none and leaves none open. */
export interface EventKeeper {
  /** Resolves once the record is kept, with false if it could not be. Never rejects. */
  record(event: RuleEvent): Promise<boolean>;
  /** The sinks have it. */
  delivered(id: string, seq: number): void;
  /** What an earlier process left: records that the sinks may lack, and the last record of each event that has no end. */
  unfinished(): Promise<{ readonly undelivered: readonly RuleEvent[]; readonly open: readonly RuleEvent[] }>;
}

export interface EventDeskOptions {
  /** Settings of a stream that runs. */
  readonly configOf: (stream: string) => StreamConfig;
  /** Passes a record to the sinks. @returns what resolves once all of them have it; undefined if they do. */
  readonly send: (event: RuleEvent) => Promise<void> | undefined;
  /** Passes the beginning and the end of an event to people. */
  readonly announce: (event: RuleEvent) => void;
  /** Called once for each rule that cannot work as it is. */
  readonly onProblem: (stream: string, text: string) => void;
  /** Takes a record that a fleet has to accept first, and passes it to `deliver` then; false: it is under no lease. */
  readonly lend?: ((event: RuleEvent) => boolean) | undefined;
  readonly clock?: Pick<Clock, 'now'>;
}

/** A record on its way out. */
interface Outgoing {
  readonly event: RuleEvent;
  readonly mayHandOut: () => boolean;
  readonly onDone: (wasHandedOut: boolean) => void;
}

/** A stream of the host. */
interface Watched {
  readonly events: StreamEvents;
  readonly seeing: SeeingLedger;
  isLive: boolean;
  /** What hides the scene from its camera. */
  hiddenBy: BlindReason | null;
  /** Since when no result comes, and its target is missed, on the monotonic clock. */
  downSinceMs: number | null;
  missedSinceMs: number | null;
}

/**
 * The rules of all streams of a host: takes their results, states and signs, and hands out events, in order, each kept before it
 * is sent.
 */
export class EventDesk {
  readonly #options: EventDeskOptions;
  readonly #streams = new Map<string, Watched>();
  readonly #clock: Pick<Clock, 'now'>;
  /** Null if nothing is kept. */
  #keeper: EventKeeper | null = null;
  readonly #waiting: Outgoing[] = [];
  #draining: Promise<void> | null = null;
  #isClosed = false;

  constructor(options: EventDeskOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Keeps events from now on, delivers what an earlier process could not, and ends the events that it left open. Those under a lease are
   * delivered and ended by its next holder; here they only count as ended. Call it before the first result.
   */
  async keepIn(keeper: EventKeeper): Promise<void> {
    const { send } = this.#options;
    this.#keeper = keeper;
    const { undelivered, open } = await keeper.unfinished();
    const isOwn = ({ fence }: RuleEvent): boolean => fence === undefined;
    for (const event of undelivered) {
      this.#markDelivered(event, isOwn(event) ? send(event) : undefined);
    }
    await Promise.all(
      open.map((last) => this.deliver(endOf(last, isOwn(last) ? 'restart' : 'moved'), () => isOwn(last))),
    );
  }

  /**
   * Keeps a record, and hands it out if it still may then; all in order. Never rejects.
   *
   * @returns whether it was handed out.
   */
  deliver(event: RuleEvent, mayHandOut: () => boolean): Promise<boolean> {
    if (this.#keeper === null) {
      const may = mayHandOut();
      if (may) this.#handOut(event);
      return Promise.resolve(may);
    }
    return new Promise((onDone) => {
      this.#waiting.push({ event, mayHandOut, onDone });
      this.#draining ??= this.#drain();
    });
  }

  /** Takes the next result of a stream. */
  onResult(frame: PublishedFrame): void {
    if (this.#isClosed) return;
    const watched = this.#watchedOf(frame.streamId);
    watched.isLive = frame.capturedAtMs !== undefined;
    watched.seeing.onResult(this.#clock.now());
    watched.events.onFrame(frame, watched.isLive ? this.#clock.now() : undefined);
  }

  /** Takes what is wrong with a stream's picture now; empty if nothing is. */
  onPicture(stream: string, signs: readonly string[]): void {
    const watched = this.#streams.get(stream);
    if (watched === undefined) return;
    watched.hiddenBy = (['black', 'frozen'] as const).find((sign) => signs.includes(sign)) ?? null;
    watched.events.onPicture(signs);
  }

  /** Takes the states of all streams, about once a second. @param nowMs - milliseconds since 1970. */
  onReport(reports: readonly StreamReport[], nowMs: number): void {
    if (this.#isClosed) return;
    // One that never ran is removed without an event of its own.
    const known = new Set(reports.map(({ id }) => id));
    for (const id of this.#streams.keys()) if (!known.has(id)) this.onRemoved(id, false, nowMs);
    for (const report of reports) {
      const watched = this.#watchedOf(report.id);
      const { state } = report;
      const isPaused = state === 'pausing' || state === 'paused';
      const isDown = state === 'starting' || state === 'reconnecting' || state === 'failed';
      const trouble: BlindReason | null = isPaused ? 'paused' : isDown ? 'down' : null;
      if (state === 'ended') watched.seeing.end(this.#clock.now());
      else watched.seeing.onState(trouble, watched.hiddenBy, this.#clock.now(), report.frames.in);
      if (isPaused || state === 'ended') watched.events.end(isPaused ? 'stopped' : 'source-ended', nowMs);
      const wasInTrouble = watched.downSinceMs !== null || watched.missedSinceMs !== null;
      if (!watched.isLive && !isDown && !wasInTrouble) continue;
      const isMissing = watched.isLive && (report.isMissing.fps || report.isMissing.latency);
      const monoMs = this.#clock.now();
      watched.downSinceMs = isDown ? (watched.downSinceMs ?? monoMs) : null;
      watched.missedSinceMs = isMissing ? (watched.missedSinceMs ?? monoMs) : null;
      const { downSinceMs, missedSinceMs } = watched;
      const troubles = [
        ...(downSinceMs === null ? [] : [{ sign: 'down', sinceMs: downSinceMs }]),
        ...(missedSinceMs === null ? [] : [{ sign: 'target-missed', sinceMs: missedSinceMs }]),
      ];
      watched.events.onTick(troubles, monoMs, nowMs);
    }
  }

  /** A stream was removed: its events end. @param isOver - its recording was read to the end. */
  onRemoved(stream: string, isOver: boolean, nowMs: number): void {
    this.#streams.get(stream)?.events.end(isOver ? 'source-ended' : 'stopped', nowMs);
    this.#streams.delete(stream);
  }

  /** What rules and eyes of a stream have done; null if nothing is known of it. */
  figuresOf(stream: string): Pick<Required<StreamReport>, 'seeing' | 'events'> | null {
    const watched = this.#streams.get(stream);
    if (watched === undefined) return null;
    return { seeing: watched.seeing.report(this.#clock.now()), events: watched.events.figures };
  }

  /** Ends all events, and resolves once they have been sent. */
  async close(reason: EventEnd = 'stopped', nowMs = Date.now()): Promise<void> {
    if (!this.#isClosed) for (const { events } of this.#streams.values()) events.end(reason, nowMs);
    this.#isClosed = true;
    await this.#draining;
  }

  #watchedOf(stream: string): Watched {
    const config = this.#options.configOf(stream);
    let watched = this.#streams.get(stream);
    if (watched === undefined) {
      const seeing = new SeeingLedger(this.#clock.now());
      const events = new StreamEvents({
        ...{ stream, settings: config },
        emit: (event) => this.#emit(event),
        onProblem: (text) => this.#options.onProblem(stream, text),
        blindBefore: () => seeing.before(this.#clock.now()),
      });
      watched = { events, seeing, isLive: false, hiddenBy: null, downSinceMs: null, missedSinceMs: null };
      this.#streams.set(stream, watched);
    } else watched.events.change(config, Date.now());
    return watched;
  }

  #emit(event: RuleEvent): void {
    if (this.#options.lend?.(event) !== true) void this.deliver(event, () => true);
  }

  async #drain(): Promise<void> {
    const keeper = this.#keeper!;
    while (this.#waiting.length > 0) {
      // All at once: a disk that does not answer holds them up together.
      const batch = this.#waiting.splice(0).map((next) => ({ ...next, kept: keeper.record(next.event) }));
      for (const { event, mayHandOut, onDone, kept } of batch) {
        await kept;
        const may = mayHandOut();
        // A record that could not be kept may be kept later all the same.
        this.#markDelivered(event, may ? this.#handOut(event) : undefined);
        onDone(may);
      }
    }
    this.#draining = null;
  }

  #markDelivered({ id, seq }: RuleEvent, sent: Promise<void> | undefined): void {
    const mark = (): void => this.#keeper?.delivered(id, seq);
    if (sent === undefined) mark();
    else void sent.then(mark);
  }

  #handOut(event: RuleEvent): Promise<void> | undefined {
    const sent = this.#options.send(event);
    if (event.phase === 'new' || (event.phase === 'end' && !isMomentary(event))) this.#options.announce(event);
    return sent;
  }
}

/** Whether an event was over when it was raised: people are told of it once. */
function isMomentary({ kind }: RuleEvent): boolean {
  return kind === 'crosses' || kind === 'exits' || kind === 'leaves';
}
