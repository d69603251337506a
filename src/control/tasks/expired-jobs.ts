import type { JobFacts } from './job-facts.ts';
import type { TaskPolicy } from './task-policy.ts';

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
