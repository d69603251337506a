import { type Clock, keepAliveClock } from '../core/clock.ts';

/** A limit is waited for in so many slices. */
const SLICES = 4;
/** A slice that ends this much too late says nothing about others, even if it is short. */
const LEAST_LATE_MS = 100;
/** After so many times the limit it is over, whatever this process was kept from. */
const MOST_TIMES = 10;

/**
 * Calls `run` once, when so much time has passed in which this process ran: before anybody else is blamed for a late answer. A slice of the limit that
 * ends later than it should by its own length is waited for again: the machine was busy, or the process was suspended, and the answer may be there already.
 *
 * @param clock - default: the real one, which keeps the process alive.
 * @returns a function that cancels it.
 */
export function patientTimer(ms: number, run: () => void, clock: Clock = keepAliveClock): () => void {
  const sliceMs = ms / SLICES;
  const beganMs = clock.now();
  let left = SLICES;
  let cancel = (): void => undefined;
  const wait = (): void => {
    const startedMs = clock.now();
    cancel = clock.setTimer(() => {
      const nowMs = clock.now();
      if (nowMs - startedMs - sliceMs < Math.max(sliceMs, LEAST_LATE_MS)) left -= 1;
      if (left === 0 || nowMs - beganMs > MOST_TIMES * ms) run();
      else wait();
    }, sliceMs);
  };
  wait();
  return () => cancel();
}
