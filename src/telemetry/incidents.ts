import { type Clock, systemClock } from '../core/clock.ts';

/** Where a message from outside this process came in. */
export const CHANNELS = [
  'bus-stats',
  'bus-events',
  'bus-detections',
  'bus-preview',
  'bus-wake',
  'redis-record',
  'websocket',
  'rest',
] as const;
export type Channel = (typeof CHANNELS)[number];

/**
 * Why a message was refused. json: the text is not JSON; size: the text is too long; envelope: sender, stream or fence is
 * missing or wrong; version: written for a newer protocol; schema: a field of the body is missing or wrong; fence: no lease
 * record confirms its fence; stale: its sender has lost the lease; rate: too many messages.
 */
export const REFUSALS = ['json', 'size', 'envelope', 'version', 'schema', 'fence', 'stale', 'rate'] as const;
export type Refusal = (typeof REFUSALS)[number];

const BUS = ['json', 'size', 'envelope', 'version', 'schema'] as const;
const OF_STREAMS = [...BUS, 'fence', 'stale'] as const;

/** What can happen on each channel: their counters are there from the start, so that a rate has a zero to begin with. */
export const REFUSALS_OF: Readonly<Record<Channel, readonly Refusal[]>> = {
  'bus-stats': OF_STREAMS,
  'bus-events': OF_STREAMS,
  'bus-detections': OF_STREAMS,
  'bus-preview': OF_STREAMS,
  'bus-wake': BUS,
  'redis-record': ['json', 'schema'],
  websocket: ['json', 'size', 'schema', 'rate'],
  rest: ['json', 'size', 'schema'],
};

/** Time between two reports of one kind. */
const QUIET_MS = 1000;
/** Longest detail in a report: the text may come from outside. */
const MOST_DETAIL_CHARS = 300;

export interface RefusalCount {
  readonly channel: Channel;
  readonly reason: Refusal;
  readonly count: number;
}

interface Tally {
  count: number;
  unreported: number;
  quietUntilMs: number;
}

/**
 * Counts what went wrong at the edges of this process: messages from outside that were refused, and exceptions that a
 * barrier caught. Each kind is reported at most once a second, with the number of those left out.
 */
export class Incidents {
  readonly #report: (text: string) => void;
  readonly #clock: Clock;
  readonly #refused = new Map<`${Channel} ${Refusal}`, Tally>();
  readonly #caught = new Map<string, Tally>();

  /** @param report - gets one sentence for an operator, e.g. a line of the log. */
  constructor(report: (text: string) => void = () => {}, clock: Clock = systemClock) {
    this.#report = report;
    this.#clock = clock;
  }

  /** Of every kind that can occur, since the start. */
  get refusals(): readonly RefusalCount[] {
    return CHANNELS.flatMap((channel) =>
      REFUSALS_OF[channel].map((reason) => {
        const tally = this.#refused.get(`${channel} ${reason}`);
        return { channel, reason, count: tally?.count ?? 0 };
      }),
    );
  }

  /** Exceptions by the barrier that caught them. */
  get caught(): ReadonlyMap<string, number> {
    return new Map(Array.from(this.#caught, ([place, { count }]) => [place, count]));
  }

  /** @param detail - what was wrong, for the log; made only where it is reported. */
  refuse(channel: Channel, reason: Refusal, detail: () => string): void {
    const tally = count(this.#refused, `${channel} ${reason}`);
    this.#tell(tally, () => `a message was refused (${channel}, ${reason}): ${detail().slice(0, MOST_DETAIL_CHARS)}`);
  }

  /** @param place - names the barrier; one of a fixed few, since it is a label of a metric. */
  catch(place: string, error: unknown): void {
    const tally = count(this.#caught, place);
    this.#tell(tally, () => `an exception in ${place} was caught: ${stackOf(error)}`);
  }

  /** Runs a callback so that whatever it throws, now or as a promise, is counted here and goes no further. */
  run(place: string, callback: () => unknown): void {
    try {
      const result = callback();
      if (result instanceof Promise) result.catch((error: unknown) => this.catch(place, error));
    } catch (error) {
      this.catch(place, error);
    }
  }

  /** Wraps an event handler with `run`. */
  guard<A extends unknown[]>(place: string, handler: (...args: A) => unknown): (...args: A) => void {
    return (...args) => this.run(place, () => handler(...args));
  }

  /** A clock whose timers run behind a barrier. */
  clock(place: string, inner: Clock): Clock {
    return {
      now: () => inner.now(),
      setTimer: (run, delayMs) => inner.setTimer(() => this.run(place, run), delayMs),
    };
  }

  #tell(tally: Tally, text: () => string): void {
    const nowMs = this.#clock.now();
    if (nowMs < tally.quietUntilMs) {
      tally.unreported += 1;
      return;
    }
    tally.quietUntilMs = nowMs + QUIET_MS;
    const more = tally.unreported === 0 ? '' : ` (and ${tally.unreported} more since the last report)`;
    tally.unreported = 0;
    try {
      this.#report(`${text()}${more}`);
    } catch {
      // The counter has it. A log that cannot be written to must not turn a refused message into a crash.
    }
  }
}

function count<K>(tallies: Map<K, Tally>, kind: K): Tally {
  const tally = tallies.get(kind) ?? { count: 0, unreported: 0, quietUntilMs: Number.NEGATIVE_INFINITY };
  tallies.set(kind, tally);
  tally.count += 1;
  return tally;
}

function stackOf(error: unknown): string {
  if (error instanceof Error) return error.stack ?? error.message;
  return String(error).slice(0, MOST_DETAIL_CHARS);
}
