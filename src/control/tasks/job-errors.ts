import { SightlineError } from '../../errors/sightline-error.ts';

/** What both task queues complain of, in the same words. */
export const jobErrors = {
  jobExists: (id: string) =>
    new SightlineError('JOB_EXISTS', `job "${id}": another job has this id; choose another id, or none`, { id }),
  jobNotFound: (id: string) =>
    new SightlineError('JOB_NOT_FOUND', `job "${id}": no job has this id; finished ones are forgotten after a while`, {
      id,
    }),
  /** Not retryable: the parts that exist belong to the file as it was. */
  splitChanged: (id: string, file: number, before: number, now: number) =>
    new SightlineError(
      'SEGMENT_MISMATCH',
      `job "${id}", file ${file}: expected ${before} segments as when it was split first, received ${now}; the file changed ` +
        'meanwhile, submit it as a new job',
      { id, file },
    ),
};
