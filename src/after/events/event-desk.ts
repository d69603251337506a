import { type Clock, keepAliveClock } from '../../base/core/clock.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import { Pause } from '../../base/flow/pause.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { KeptPicture } from '../../wire/protocol/event-picture.ts';
import type { StreamReport } from '../../wire/protocol/report.ts';
import { type EventEnd, endOf, type RuleEvent } from '../../wire/protocol/rule-event.ts';
import type { Handover, KeepState } from '../sinks/sink.ts';
import type { SeeingSpan } from './seeing-ledger.ts';
import { type Seen, SeenRecords } from './seen-records.ts';
import { WatchedStream } from './watched-stream.ts';

/** Where events are kept, so that a kill loses none and leaves none open. */
export interface EventKeeper {
  /** Resolves once the records are kept, with false if they could not be. Never rejects. */
  record(...events: RuleEvent[]): Promise<boolean>;
  /** A sink has it, and others do not yet. Forgotten once it is delivered. */
  given(id: string, seq: number, sink: string): void;
  /** All sinks have it on the disk, or have counted it as lost. */
  delivered(id: string, seq: number): void;
  /** Times in which a stream was watched, or was not, in order, each once. @param untilMs - now, by their clock. */
  watched(stream: string, spans: readonly SeeingSpan[], untilMs: number): void;
  /** Keeps a picture of an event. */
  picture?(event: RuleEvent, picture: KeptPicture): void;
  /** Keeps what limits depend on, no later than that the sinks have the next record. */
  readonly keep: KeepState;
  /** What an earlier process left: records that sinks may lack, with those that have them, the last record of each event that has no end, and what it kept. */
  unfinished(): Promise<{
    readonly undelivered: readonly { readonly event: RuleEvent; readonly given: readonly string[] }[];
    readonly open: readonly RuleEvent[];
    readonly kept: ReadonlyMap<string, unknown>;
  }>;
}

export interface EventDeskOptions {
  /** Settings of a stream that runs. */
  readonly configOf: (stream: string) => StreamConfig;
  /** Which recording a stream reads now, see `recordingDigest`; undefined if it reads none. */
  readonly recordingOf?: (stream: string) => string | undefined;
  /** Whether a stream with these settings follows its objects. */
  readonly isTracked: (config: StreamConfig) => boolean;
  /** Passes a record to the sinks that have not got it from an earlier process. */
  readonly send: (event: RuleEvent, given: ReadonlySet<string>) => Handover;
  /** Passes the beginning and the end of an event to people. */
  readonly announce: (event: RuleEvent) => void;
  /** Those whose limits go on where an earlier process ended. */
  readonly limited?: readonly { resume(kept: ReadonlyMap<string, unknown>, keep: KeepState): void }[];
  /** Called once for each rule that cannot work as it is. */
  readonly onProblem: (stream: string, text: string) => void;
  /** Takes a record that a fleet has to accept first, and passes it to `deliver` then; false: it is under no lease. */
  readonly lend?: ((event: RuleEvent) => boolean) | undefined;
  /** Makes pictures of an event that is raised right now. */
  readonly pictures?: { take(event: RuleEvent, keep: (picture: KeptPicture) => void): void };
  readonly clock?: Clock;
}

/**
 * Records that follow others this soon are kept and sent together: on the disk and on the way to a broker, one costs nearly as much as
 * twenty. One that comes after a while waits for nothing.
 */
const PACE_MS = 100;

const NOBODY: Handover = new Map();
/** Records that are remembered for a keeper that comes late, as that of a program which serves only later. */
const MOST_EARLY = 1000;

/** A record on its way out. */
interface Outgoing {
  readonly event: RuleEvent;
  readonly mayHandOut: () => boolean;
  readonly onDone: (wasHandedOut: boolean) => void;
}

/**
 * The rules of all streams of a host: takes their results, states and signs, and hands out events, in order, each kept before it
 * is sent.
 */
export class EventDesk {
  readonly #options: EventDeskOptions;
  readonly #streams = new Map<string, WatchedStream>();
  readonly #clock: Clock;
  readonly #pause: Pause;
  /** Null if nothing is kept. */
  #keeper: EventKeeper | null = null;
  /** What was just seen, to try rules on; null if nothing is kept. */
  #seen: SeenRecords | null = null;
  readonly #waiting: Outgoing[] = [];
  /** The newest records that were handed out before there was a keeper. */
  #early: { readonly event: RuleEvent; readonly takers: Handover }[] = [];
  #draining: Promise<void> | null = null;
  #isClosed = false;

  constructor(options: EventDeskOptions) {
    this.#options = options;
    this.#clock = options.clock ?? keepAliveClock;
    this.#pause = new Pause(this.#clock);
  }

  /**
   * Keeps events from now on and the newest of those before, delivers what an earlier process could not, and ends the events that it left open. Those
   * under a lease are delivered and ended by its next holder; here they only count as ended. Call it once.
   */
  async keepIn(keeper: EventKeeper): Promise<void> {
    const { send, limited = [] } = this.#options;
    this.#keeper = keeper;
    this.#seen = new SeenRecords();
    const early = this.#early;
    this.#early = [];
    const { undelivered, open, kept } = await keeper.unfinished();
    for (const each of limited) each.resume(kept, (key, value) => keeper.keep(key, value));
    const isOwn = ({ fence }: RuleEvent): boolean => fence === undefined;
    for (const { event, given } of undelivered)
      this.#markWhenKept(event, isOwn(event) ? send(event, new Set(given)) : NOBODY);
    await Promise.all(
      open.map((last) => this.deliver(endOf(last, isOwn(last) ? 'restart' : 'moved'), () => isOwn(last))),
    );
    if (early.length === 0) return;
    await keeper.record(...early.map(({ event }) => event));
    for (const { event, takers } of early) this.#markWhenKept(event, takers);
  }

  /**
   * Keeps a record, and hands it out if it still may then; all in order. Never rejects.
   *
   * @returns whether it was handed out.
   */
  deliver(event: RuleEvent, mayHandOut: () => boolean): Promise<boolean> {
    if (this.#keeper === null) {
      const may = mayHandOut();
      this.#early.push({ event, takers: may ? this.#handOut(event) : NOBODY });
      if (this.#early.length > MOST_EARLY) this.#early.shift();
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
    const nowMs = this.#clock.now();
    const settings = this.#options.configOf(frame.streamId);
    this.#watchOf(frame.streamId, settings).onResult(frame, nowMs);
    this.#seen?.onResult(frame, this.#options.isTracked(settings), nowMs);
  }

  /** Takes what is wrong with a stream's picture now; empty if nothing is. */
  onPicture(stream: string, signs: readonly string[]): void {
    const watch = this.#streams.get(stream);
    if (watch === undefined) return;
    watch.onPicture(signs);
    this.#seen?.onPicture(stream, signs, this.#clock.now());
  }

  /** Takes the states of all streams, about once a second. @param wallMs - milliseconds since 1970. */
  onReport(reports: readonly StreamReport[], wallMs: number): void {
    if (this.#isClosed) return;
    // One that never ran is removed without an event of its own.
    const known = new Set(reports.map(({ id }) => id));
    for (const id of this.#streams.keys()) if (!known.has(id)) this.onRemoved(id, false, wallMs);
    const nowMs = this.#clock.now();
    for (const { id, state, isMissing, frames } of reports) {
      const now = { state, isMissing: isMissing.fps || isMissing.latency, framesIn: frames.in };
      const watch = this.#watchOf(id);
      watch.onState(now, nowMs, wallMs);
      this.#keepSeeing(id, watch);
      this.#seen?.onState(id, now, nowMs, wallMs);
    }
  }

  /** A stream was removed: its events end. @param isOver - its recording was read to the end. */
  onRemoved(stream: string, isOver: boolean, nowMs: number): void {
    const watch = this.#streams.get(stream);
    watch?.end(isOver ? 'source-ended' : 'stopped', nowMs);
    if (watch !== undefined) this.#keepSeeing(stream, watch, true);
    this.#streams.delete(stream);
    this.#seen?.forget(stream);
  }

  /** Whether an event of a rule of a stream is open. */
  isOpen(stream: string, rule: string): boolean {
    return this.#streams.get(stream)?.isOpen(rule) ?? false;
  }

  /** What rules and eyes of a stream have done; null if nothing is known of it. */
  figuresOf(stream: string): Pick<Required<StreamReport>, 'seeing' | 'events'> | null {
    const watched = this.#streams.get(stream);
    if (watched === undefined) return null;
    return { seeing: watched.seeing(this.#clock.now()), events: watched.figures };
  }

  /** What is remembered of a stream, to try rules on. */
  seenOf(stream: string): Seen {
    return (this.#seen ?? new SeenRecords()).of(stream, this.#clock.now());
  }

  /** Ends all events, and resolves once they have been sent. */
  async close(reason: EventEnd = 'stopped', nowMs = Date.now()): Promise<void> {
    if (!this.#isClosed)
      for (const [stream, watch] of this.#streams) {
        watch.end(reason, nowMs);
        this.#keepSeeing(stream, watch, true);
      }
    this.#isClosed = true;
    this.#pause.end();
    await this.#draining;
  }

  #watchOf(stream: string, settings = this.#options.configOf(stream)): WatchedStream {
    let watch = this.#streams.get(stream);
    if (watch === undefined) {
      const options = {
        stream,
        settings,
        recordingOf: () => this.#options.recordingOf?.(stream),
        emit: (event: RuleEvent) => this.#emit(event),
        onProblem: (text: string) => this.#options.onProblem(stream, text),
      };
      watch = new WatchedStream(options, this.#clock.now());
      this.#streams.set(stream, watch);
    } else watch.change(settings, Date.now());
    return watch;
  }

  #keepSeeing(stream: string, watch: WatchedStream, isGone = false): void {
    const nowMs = this.#clock.now();
    const spans = watch.takeSeeing(nowMs, isGone);
    if (spans.length > 0) this.#keeper?.watched(stream, spans, nowMs);
  }

  #emit(event: RuleEvent): void {
    const keeper = this.#keeper;
    if (event.phase === 'new' && keeper?.picture !== undefined)
      this.#options.pictures?.take(event, (picture) => keeper.picture!(event, picture));
    if (this.#options.lend?.(event) !== true) void this.deliver(event, () => true);
  }

  async #drain(): Promise<void> {
    const keeper = this.#keeper!;
    // The other events of the same frame come with the first.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      // All at once: a disk that does not answer holds them up together.
      const batch = this.#waiting.splice(0);
      await keeper.record(...batch.map(({ event }) => event));
      for (const { event, mayHandOut, onDone } of batch) {
        const may = mayHandOut();
        // A record that could not be kept may be kept later all the same.
        this.#markWhenKept(event, may ? this.#handOut(event) : NOBODY);
        onDone(may);
      }
      if (!this.#isClosed) await this.#pause.wait(PACE_MS);
    }
    this.#draining = null;
  }

  /** Marks a record for each sink as it has it, and as a whole when all have. Nobody waits for that; until then the next start hands it out again. */
  #markWhenKept({ id, seq }: RuleEvent, takers: Handover): void {
    if (takers.size === 0) this.#keeper?.delivered(id, seq);
    let left = takers.size;
    for (const [sink, isKept] of takers)
      void isKept.then(() => {
        left -= 1;
        if (left === 0) this.#keeper?.delivered(id, seq);
        else this.#keeper?.given(id, seq, sink);
      });
  }

  #handOut(event: RuleEvent): Handover {
    const sent = this.#options.send(event, new Set());
    if (event.phase === 'new' || (event.phase === 'end' && !isMomentary(event))) this.#options.announce(event);
    return sent;
  }
}

/** Whether an event was over when it was raised: people are told of it once. */
function isMomentary({ kind }: RuleEvent): boolean {
  return kind === 'crosses' || kind === 'exits' || kind === 'leaves';
}
