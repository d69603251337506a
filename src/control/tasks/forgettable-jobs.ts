import type { JobFacts } from './job-facts.ts';
import type { TaskPolicy } from './task-policy.ts';

/**
 * Which finished jobs are too old, or beyond the number of jobs or inputs that are kept. Jobs that are not finished count,
 * and stay.
 *
 * @param jobs - newest first.
 */
export function forgettableJobs<J extends Pick<JobFacts, 'inputs' | 'finishedMs'>>(
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
