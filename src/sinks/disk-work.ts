import type { Clock } from '../core/clock.ts';
import { hangFailure } from './sink-failure.ts';

/** Interval at which results are synchronised to the disk with policy `interval`. */
export const SYNC_MS = 5000;
/** Pause before a file operation that failed is tried again. */
export const RETRY_MS = 1000;
/** Closing a file gives up after this time without progress. */
export const CLOSE_MS = 5000;
/** A file operation that takes longer is reported. */
const HANG_MS = 10_000;

/**
 * Does one step of file operations.
 *
 * @param onHang - called if it takes too long; the step continues.
 * @returns why it failed, or null.
 */
export async function attemptStep(
  step: () => Promise<Error | null>,
  clock: Clock,
  onHang: (error: Error) => void,
): Promise<Error | null> {
  const cancelWatch = clock.setTimer(() => onHang(hangFailure(HANG_MS)), HANG_MS);
  const error = await step().catch((thrown: Error) => thrown);
  cancelWatch();
  return error;
}
