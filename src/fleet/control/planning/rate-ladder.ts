/** Steps of 10 % from the full rate of a priority level to its floor. */
const STEPS = 9;
const FLOOR_RATIO = 0.1;
const FLOOR_FPS = 1;

/** How far a pipeline's rates are reduced: lower priorities are at their floor, this one `step` steps down, higher ones at full rate. */
export interface RateCut {
  readonly priority: number;
  /** 1 to `STEPS`; the last is the floor. */
  readonly step: number;
}

/** A stream as the ladder sees it. */
export interface RatedStream {
  readonly priority: number;
  /** Inferences a second at full rate. */
  readonly wantFps: number;
}

/**
 * The order in which rates fall while a fleet is full, as rungs: 0 is full rate for all, each further rung takes 10 % from
 * the lowest priority that is not at its floor yet. At every rung, a stream is reduced only if all of lower priority are at
 * their floor.
 */
export class RateLadder {
  readonly #priorities: readonly number[];
  readonly #levels: ReadonlyMap<number, number>;

  constructor(streams: readonly RatedStream[]) {
    this.#priorities = [...new Set(streams.map(({ priority }) => priority))].sort((a, b) => a - b);
    this.#levels = new Map(this.#priorities.map((priority, level) => [priority, level]));
  }

  /** The rung at which all streams are at their floor. */
  get lastRung(): number {
    return this.#priorities.length * STEPS;
  }

  /** Returns the inferences a second at a rung, with two decimals; exactly `wantFps` if not reduced. */
  rateAt({ priority, wantFps }: RatedStream, rung: number): number {
    const step = Math.min(STEPS, rung - this.#levels.get(priority)! * STEPS);
    if (step <= 0) return wantFps;
    const floor = Math.min(wantFps, Math.max(FLOOR_FPS, wantFps * FLOOR_RATIO));
    const rate = step === STEPS ? floor : Math.max(floor, wantFps * (1 - step / 10));
    return rate === wantFps ? wantFps : downToHundredths(rate);
  }

  /** Converts a rate cut, which may date from a time with other priorities, to a rung of this ladder. */
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

  /** Returns the first rung at which a stream gets at most `fps`: the rung that an earlier leader must have used. */
  rungAllowing(stream: RatedStream, fps: number): number {
    if (stream.wantFps <= fps) return 0;
    const full = this.#levels.get(stream.priority)! * STEPS;
    for (let rung = full + 1; rung < full + STEPS; rung++) if (this.rateAt(stream, rung) <= fps) return rung;
    return full + STEPS;
  }
}

/** Rounds down, so that a rate that just fits still fits. */
export function downToHundredths(fps: number): number {
  return Math.max(0.01, Math.floor(fps * 100 + 1e-6) / 100);
}
