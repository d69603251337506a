import { type Clock, systemClock } from '../core/clock.ts';
import { SightlineError } from '../errors/sightline-error.ts';

/** Channels on which messages from outside this process arrive. */
export const CHANNELS = [
  'bus-stats',
  'bus-events',
  'bus-detections',
  'bus-preview',
  'bus-wake',
  'bus-rollout',
  'bus-observations',
  'redis-record',
  'websocket',
  'rest',
  'access',
  'connection',
] as const;
export type Channel = (typeof CHANNELS)[number];

/**
 * Why a message was refused. json: not JSON; size: too long; envelope: sender, stream or fence is missing or wrong;
 * version: a newer protocol; schema: a field of the body is missing or wrong; fence: no lease record confirms its
 * fence; stale: its sender has lost the lease; rate: too many messages; token: missing, wrong or expired; role: the token may
 * not do this; origin: a foreign page or host name; limit: no room for what it asks for; signature: no host of the fleet
 * signed it; replay: it came before, or too late.
 */
export const REFUSALS = [
  'signature',
  'replay',
  'json',
  'size',
  'envelope',
  'version',
  'schema',
  'fence',
  'stale',
  'rate',
  'token',
  'role',
  'origin',
  'limit',
] as const;
export type Refusal = (typeof REFUSALS)[number];

const BUS = ['signature', 'replay', 'json', 'size', 'envelope', 'version', 'schema'] as const;
const OF_STREAMS = [...BUS, 'fence', 'stale'] as const;

/** Refusals possible on each channel. Their counters exist from the start, so that rates start from zero. */
export const REFUSALS_OF: Readonly<Record<Channel, readonly Refusal[]>> = {
  'bus-stats': OF_STREAMS,
  'bus-events': OF_STREAMS,
  'bus-detections': OF_STREAMS,
  'bus-preview': OF_STREAMS,
  'bus-wake': BUS,
  'bus-rollout': BUS,
  'bus-observations': BUS,
  'redis-record': ['signature', 'json', 'schema'],
  websocket: ['json', 'size', 'schema', 'rate'],
  rest: ['json', 'size', 'schema', 'limit'],
  access: ['token', 'role', 'origin', 'rate'],
  connection: ['limit'],
};

/** Work that is repeated by itself after a failure. model-check: a cached model had changed, and was made or fetched again. */
const OPERATIONS = ['planning', 'model-check'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Shortest time between two reports of one kind. */
const REPORT_INTERVAL_MS = 1000;
/** Longest detail in a report; the text may come from outside. */
const MAX_DETAIL_CHARS = 300;

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
 * Counts failures at the edges of this process: messages from outside that were refused, exceptions caught by a
 * barrier, and operations that failed and are repeated. Each kind is reported at most once a second, with the number of unreported ones.
 */
export class Incidents {
  readonly #report: (text: string) => void;
  readonly #clock: Clock;
  readonly #refused = new Map<`${Channel} ${Refusal}`, Tally>();
  readonly #caught = new Map<string, Tally>();
  readonly #failed = new Map<Operation, Tally>();

  /** @param report - receives one sentence for an operator, e.g. for the log. */
  constructor(report: (text: string) => void = () => {}, clock: Clock = systemClock) {
    this.#report = report;
    this.#clock = clock;
  }

  /** Counts of every possible kind since the start, zeros included. */
  get refusals(): readonly RefusalCount[] {
    return CHANNELS.flatMap((channel) =>
      REFUSALS_OF[channel].map((reason) => {
        const tally = this.#refused.get(`${channel} ${reason}`);
        return { channel, reason, count: tally?.count ?? 0 };
      }),
    );
  }

  /** Counts of exceptions by the barrier that caught them. */
  get caught(): ReadonlyMap<string, number> {
    return new Map(Array.from(this.#caught, ([place, { count }]) => [place, count]));
  }

  /** Counts of failed operations since the start, zeros included. */
  get failures(): ReadonlyMap<Operation, number> {
    return new Map(OPERATIONS.map((operation) => [operation, this.#failed.get(operation)?.count ?? 0]));
  }

  /** Counts an operation that failed and will be repeated. */
  fail(operation: Operation, error: unknown): void {
    const tally = count(this.#failed, operation);
    const detail = error instanceof SightlineError ? `${error.message} [${error.code}]` : stackOf(error);
    this.#reportThrottled(tally, () => `${operation} failed and is tried again: ${detail}`);
  }

  /** @param detail - the cause, for the log; called only if it is reported. */
  refuse(channel: Channel, reason: Refusal, detail: () => string): void {
    const tally = count(this.#refused, `${channel} ${reason}`);
    this.#reportThrottled(
      tally,
      () => `a message was refused (${channel}, ${reason}): ${detail().slice(0, MAX_DETAIL_CHARS)}`,
    );
  }

  /** @param place - names the barrier; one of a small fixed set, since it is a metric label. */
  catch(place: string, error: unknown): void {
    const tally = count(this.#caught, place);
    this.#reportThrottled(tally, () => `an exception in ${place} was caught: ${stackOf(error)}`);
  }

  /** Runs a callback; anything it throws or rejects with is counted here and not passed on. */
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

  /** Returns a clock whose timer callbacks run inside `run`. */
  clock(place: string, inner: Clock): Clock {
    return {
      now: () => inner.now(),
      setTimer: (run, delayMs) => inner.setTimer(() => this.run(place, run), delayMs),
    };
  }

  #reportThrottled(tally: Tally, text: () => string): void {
    const nowMs = this.#clock.now();
    if (nowMs < tally.quietUntilMs) {
      tally.unreported += 1;
      return;
    }
    tally.quietUntilMs = nowMs + REPORT_INTERVAL_MS;
    const more = tally.unreported === 0 ? '' : ` (and ${tally.unreported} more since the last report)`;
    tally.unreported = 0;
    try {
      this.#report(`${text()}${more}`);
    } catch {
      // Already counted. A log that cannot be written must not turn a refused message into a crash.
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
  return String(error).slice(0, MAX_DETAIL_CHARS);
}
