import type { Clock } from '../core/clock.ts';

/** Unlike those of the system's clock, its timers keep the process alive: somebody waits for the answer. */
const WAITING: Pick<Clock, 'setTimer'> = {
  setTimer(run, delayMs) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Waits for work at most so long; work that is late goes on. @returns whether it was done in time. @throws what it throws in time. */
export async function settlesWithin(
  work: Promise<unknown>,
  ms: number,
  clock: Pick<Clock, 'setTimer'> = WAITING,
): Promise<boolean> {
  let cancel = (): void => undefined;
  const late = new Promise<false>((resolve) => {
    cancel = clock.setTimer(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    cancel();
  }
}
