import type { MonoMs } from './units.ts';

/**
 * Reads the monotonic clock in milliseconds. `timeOrigin + now()` agrees between the threads of one process
 * on Node 20 and later (`now()` alone counts from the start of its own thread).
 */
export function monoNowMs(): MonoMs {
  return (performance.timeOrigin + performance.now()) as MonoMs;
}

/** A component's source of time; tests pass a manual clock. */
export interface Clock {
  now(): MonoMs;
  setTimer(run: () => void, delayMs: number): () => void;
}

/** The real clock. Timers do not keep the process alive. */
export const systemClock: Clock = {
  now: monoNowMs,
  setTimer(run, delayMs) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** The real clock. Timers keep the process alive: what they are for must not be lost at exit. */
export const keepAliveClock: Clock = {
  now: monoNowMs,
  setTimer(run, delayMs) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
