import type { Clock } from '../../../../src/base/core/clock.ts';
import type { MonoMs } from '../../../../src/base/core/units.ts';

const STEP_MS = 250;

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

  /** Lets time pass as it does for a process that runs: in steps, so that no timer is much too late. */
  run(ms: number): void {
    for (let passedMs = 0; passedMs < ms; passedMs += STEP_MS) this.turn(Math.min(STEP_MS, ms - passedMs));
  }
}
