import type { Clock } from '../../src/base/core/clock.ts';
import type { MonoMs } from '../../src/base/core/units.ts';

/** A manual clock; timers fire in the order in which they are due. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { readonly dueMs: number; readonly run: () => void }[] = [];

  now(): MonoMs {
    return this.#nowMs as MonoMs;
  }

  setTimer(run: () => void, delayMs: number): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Advances the time without firing timers, as for a process that was suspended. */
  jump(byMs: number): void {
    this.#nowMs += byMs;
  }

  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#timers.filter((timer) => timer.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.run();
    }
    this.#nowMs = endMs;
  }
}
