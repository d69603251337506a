import type { Clock } from '../../../src/core/clock.ts';
import type { MonoMs } from '../../../src/core/units.ts';

/** A clock that only advances when a test calls `turn`. */
export class TurnedClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Map<number, { readonly atMs: number; readonly run: () => void }>();
  #lastTimer = 0;

  now(): MonoMs {
    return this.#nowMs as MonoMs;
  }

  setTimer(run: () => void, delayMs: number): () => void {
    this.#lastTimer += 1;
    const id = this.#lastTimer;
    this.#timers.set(id, { atMs: this.#nowMs + delayMs, run });
    return () => this.#timers.delete(id);
  }

  turn(byMs: number): void {
    this.#nowMs += byMs;
    for (const [id, timer] of [...this.#timers]) {
      if (timer.atMs <= this.#nowMs && this.#timers.delete(id)) timer.run();
    }
  }
}
