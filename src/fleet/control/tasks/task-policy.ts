import { backOffMs } from '../../../base/flow/back-off.ts';
import type { JobOrder, Task } from '../../../wire/protocol/fleet.ts';
import type { JobFacts } from './job-facts.ts';

/** How often tasks are tried and how long jobs are kept. */
export interface TaskPolicy {
  /** Attempts before a task becomes a dead letter. */
  readonly attempts: number;
  /** Longest wait before the second attempt; doubles with each further one. */
  readonly firstRetryMs: number;
  readonly maxRetryMs: number;
  /** Finished jobs are removed after this long, or earlier, oldest first, if there are more than `keepJobs`. */
  readonly keepMs: number;
  readonly keepJobs: number;
  /** Inputs of all jobs together: a hundred jobs of 100,000 files need more memory than a thousand small ones. */
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
 * Returns the wait before the next attempt, in whole milliseconds: `backOffMs`.
 *
 * @param attempts - failed so far, from 1.
 * @param random - from 0 to 1.
 */
export function retryDelayMs(
  attempts: number,
  limits: Pick<TaskPolicy, 'firstRetryMs' | 'maxRetryMs'>,
  random: () => number = Math.random,
): number {
  return Math.round(backOffMs(attempts, { firstMs: limits.firstRetryMs, maxMs: limits.maxRetryMs }, random()));
}

/**
 * Returns the finished jobs that are too old, or beyond the number of jobs or inputs to keep. Unfinished jobs count towards
 * these numbers but are never returned.
 *
 * @param jobs - newest first.
 */
export function expiredJobs<J extends Pick<JobFacts, 'inputs' | 'finishedMs'>>(
  jobs: readonly J[],
  { keepMs, keepJobs, keepInputs }: TaskPolicy,
  nowMs: number,
): J[] {
  let inputs = 0;
  return jobs.filter((job, index) => {
    inputs += job.inputs;
    if (job.finishedMs === null) return false;
    return index >= keepJobs || inputs > keepInputs || nowMs - job.finishedMs > keepMs;
  });
}

const HIGHEST = 1000;
/** Files in progress are finished first: results appear file by file, and few segment results exist at a time. */
const RANK: Readonly<Record<Task['kind'], number>> = { merge: 1, segment: 2, split: 3 };
const KINDS_PER_PRIORITY = 3;

/** Returns a task's priority in its pipeline's queue, 1 to 3003; the smallest runs first, equal ones in order of arrival. */
export function taskPriority(kind: Task['kind'], { priority }: Pick<JobOrder, 'priority'>): number {
  return (HIGHEST - priority) * KINDS_PER_PRIORITY + RANK[kind];
}
