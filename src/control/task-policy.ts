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
 * Wait before the next attempt: exponential with equal jitter, so that tasks that failed together do not come back together.
 *
 * @param attemptsMade - 1 after the first failure.
 * @param random - uniform in [0, 1).
 */
export function retryDelayMs(
  attemptsMade: number,
  { firstRetryMs, maxRetryMs }: Pick<TaskPolicy, 'firstRetryMs' | 'maxRetryMs'>,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(maxRetryMs, firstRetryMs * 2 ** Math.min(attemptsMade - 1, 30));
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}
