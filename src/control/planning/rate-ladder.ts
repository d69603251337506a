/** Steps of 10 % from the full rate of a priority level to its floor. */
export const STEPS = 9;
const FLOOR_RATIO = 0.1;
const FLOOR_FPS = 1;

/** How far a pipeline is held back: lower priorities are at their floor, this one `step` steps down, higher ones untouched. */
export interface RateCut {
  readonly priority: number;
  /** 1 to `STEPS`; the last is the floor. */
  readonly step: number;
}

/** A stream as the ladder sees it. */
export interface RatedStream {
  readonly priority: number;
  /** Inferences a second that it would take. */
  readonly wantFps: number;
}

/**
 * The order in which rates fall while a fleet is full, as rungs: 0 is full rate for all, each further rung takes 10 % from
 * the lowest priority that is not at its floor yet. Whatever the rung, no stream is held back while one of lower priority
 * has anything left to give.
 */
export class RateLadder {
  readonly #priorities: readonly number[];
  readonly #levels: ReadonlyMap<number, number>;

  constructor(streams: readonly RatedStream[]) {
    this.#priorities = [...new Set(streams.map(({ priority }) => priority))].sort((a, b) => a - b);
    this.#levels = new Map(this.#priorities.map((priority, level) => [priority, level]));
  }

  /** Everybody at the floor. */
  get lastRung(): number {
    return this.#priorities.length * STEPS;
  }

  /** Inferences a second at a rung, two decimals; `wantFps` itself where nothing is taken. */
  rateAt({ priority, wantFps }: RatedStream, rung: number): number {
    const step = Math.min(STEPS, rung - this.#levels.get(priority)! * STEPS);
    if (step <= 0) return wantFps;
    const floor = Math.min(wantFps, Math.max(FLOOR_FPS, wantFps * FLOOR_RATIO));
    const rate = step === STEPS ? floor : Math.max(floor, wantFps * (1 - step / 10));
    return rate === wantFps ? wantFps : toHundredths(rate);
  }

  /** A rateCut may come from a time with other priorities; what it says of those that exist now still holds. */
  rungOf(rateCut: RateCut | null): number {
    if (rateCut === null) return 0;
    const below = this.#priorities.filter((priority) => priority < rateCut.priority).length;
    return below * STEPS + (this.#levels.has(rateCut.priority) ? rateCut.step : 0);
  }

  cutAt(rung: number): RateCut | null {
    if (rung === 0) return null;
    const level = Math.ceil(rung / STEPS) - 1;
    return { priority: this.#priorities[level]!, step: rung - level * STEPS };
  }

  /** The first rung at which a stream gets no more than `fps`: what somebody who planned before must have stood on. */
  rungAllowing(stream: RatedStream, fps: number): number {
    if (stream.wantFps <= fps) return 0;
    const full = this.#levels.get(stream.priority)! * STEPS;
    for (let rung = full + 1; rung < full + STEPS; rung++) if (this.rateAt(stream, rung) <= fps) return rung;
    return full + STEPS;
  }
}

/** Rounded down, so that a rate that just fits still does. */
export function toHundredths(fps: number): number {
  return Math.max(0.01, Math.floor(fps * 100 + 1e-6) / 100);
}
