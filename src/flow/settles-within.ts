import { type Clock, keepAliveClock } from '../core/clock.ts';

/** Waits for work at most so long; work that is late goes on. @returns whether it was done in time. @throws what it throws in time. */
export async function settlesWithin(
  work: Promise<unknown>,
  ms: number,
  clock: Pick<Clock, 'setTimer'> = keepAliveClock,
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
