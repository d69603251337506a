import type { Clock } from '../core/clock.ts';

/** Timers and decoders jitter: a picture that comes a little early is not one too many. */
const EARLY_SHARE = 0.2;

/** Keeps pictures from costing more than somebody's eyes are worth: how often one of a stream goes out. */
export class PreviewPace {
  readonly #minGapMs: number;
  readonly #clock: Clock;
  readonly #lastMs = new Map<string, number>();

  constructor(maxFps: number, clock: Clock) {
    this.#minGapMs = ((1 - EARLY_SHARE) * 1000) / maxFps;
    this.#clock = clock;
  }

  /** Forgets the streams that nobody watches any more. */
  keepOnly(watched: ReadonlySet<string>): void {
    for (const id of this.#lastMs.keys()) if (!watched.has(id)) this.#lastMs.delete(id);
  }

  /** Says whether a picture of the stream may go out now, and counts it. */
  mayGo(streamId: string): boolean {
    const now = this.#clock.now();
    if (now - (this.#lastMs.get(streamId) ?? Number.NEGATIVE_INFINITY) < this.#minGapMs) return false;
    this.#lastMs.set(streamId, now);
    return true;
  }
}
