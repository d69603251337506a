import { type Clock, keepAliveClock } from '../core/clock.ts';
import { patientTimer } from './patient-timer.ts';

/** Waits for work at most so long, as a `patientTimer` counts; work that is late goes on. @returns whether it was done in time. @throws what it throws in time. */
export async function settlesWithin(
  work: Promise<unknown>,
  ms: number,
  clock: Clock = keepAliveClock,
): Promise<boolean> {
  let cancel = (): void => undefined;
  const late = new Promise<false>((resolve) => {
    cancel = patientTimer(ms, () => resolve(false), clock);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    cancel();
  }
}
