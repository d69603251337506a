import { retryDelayMs as jitteredDelayMs } from '../../sinks/retry-delay.ts';

/** How often tasks are tried and how long jobs are remembered. */
export interface TaskPolicy {
  /** Times that a task is tried before it is a dead letter. */
  readonly attempts: number;
  /** Longest first wait between two attempts; it doubles with each. */
  readonly firstRetryMs: number;
  readonly maxRetryMs: number;
  /** Finished jobs are forgotten after this long, the oldest first where there are more than `keepJobs`. */
  readonly keepMs: number;
  readonly keepJobs: number;
  /** Inputs of all jobs together: a hundred jobs of 100,000 files weigh more than a thousand small ones. */
  readonly keepInputs: number;
}

export const DEFAULT_TASK_POLICY: TaskPolicy = {
  attempts: 5,
  firstRetryMs: 2_000,
  maxRetryMs: 60_000,
  keepMs: 7 * 24 * 3_600_000,
  keepJobs: 1_000,
  keepInputs: 1_000_000,
};

/**
 * Wait before the next attempt: exponential with jitter, so that what failed together does not come back together.
 *
 * @param attempts - that failed so far, from 1.
 * @param random - from 0 to 1.
 */
export function retryDelayMs(
  attempts: number,
  limits: Pick<TaskPolicy, 'firstRetryMs' | 'maxRetryMs'>,
  random: () => number = Math.random,
): number {
  return Math.round(jitteredDelayMs(attempts, random(), { ...limits, maxRetryAfterMs: 0 }, null));
}
