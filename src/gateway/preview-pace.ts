import type { Clock } from '../core/clock.ts';

/** Timers and decoders jitter: a picture may be this part of an interval early or late without delaying the next. */
const JITTER_RATIO = 0.2;

/** Limits how many preview pictures per second are sent for each stream. */
export class PreviewPace {
  readonly #gapMs: number;
  readonly #clock: Clock;
  readonly #dueMs = new Map<string, number>();

  constructor(maxFps: number, clock: Clock) {
    this.#gapMs = 1000 / maxFps;
    this.#clock = clock;
  }

  /** Forgets all other streams. */
  keepOnly(streamIds: ReadonlySet<string>): void {
    for (const id of this.#dueMs.keys()) if (!streamIds.has(id)) this.#dueMs.delete(id);
  }

  /** Returns whether a picture of the stream may be sent now, and if so, starts the next interval. */
  tryTake(streamId: string): boolean {
    const now = this.#clock.now();
    const due = this.#dueMs.get(streamId) ?? now;
    if (now < due - JITTER_RATIO * this.#gapMs) return false;
    this.#dueMs.set(streamId, Math.max(due, now - JITTER_RATIO * this.#gapMs) + this.#gapMs);
    return true;
  }
}
