import type { Clock } from '../core/clock.ts';

/** Timers and decoders jitter, so a picture may come this part of the interval early. */
const EARLY_RATIO = 0.2;

/** Limits how many preview pictures per second are sent for each stream. */
export class PreviewPace {
  readonly #minGapMs: number;
  readonly #clock: Clock;
  readonly #lastMs = new Map<string, number>();

  constructor(maxFps: number, clock: Clock) {
    this.#minGapMs = ((1 - EARLY_RATIO) * 1000) / maxFps;
    this.#clock = clock;
  }

  /** Forgets streams that no client watches any more. */
  keepOnly(watched: ReadonlySet<string>): void {
    for (const id of this.#lastMs.keys()) if (!watched.has(id)) this.#lastMs.delete(id);
  }

  /** Returns whether a picture of the stream may be sent now, and if so, starts the next interval. */
  tryTake(streamId: string): boolean {
    const now = this.#clock.now();
    if (now - (this.#lastMs.get(streamId) ?? Number.NEGATIVE_INFINITY) < this.#minGapMs) return false;
    this.#lastMs.set(streamId, now);
    return true;
  }
}
