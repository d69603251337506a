import { SightlineError } from '../../errors/sightline-error.ts';

/** Errors that both task queues throw, with the same messages. */
export const jobErrors = {
  jobExists: (id: string) =>
    new SightlineError('JOB_EXISTS', `job "${id}": another job has this id; choose another id, or none`, { id }),
  jobNotFound: (id: string) =>
    new SightlineError('JOB_NOT_FOUND', `job "${id}": no job has this id; finished jobs are removed after a while`, {
      id,
    }),
  /** Not retryable: the existing segment results belong to the file as it was before. */
  splitChanged: (id: string, file: number, before: number, now: number) =>
    new SightlineError(
      'SEGMENT_MISMATCH',
      `job "${id}", file ${file}: expected ${before} segments as in the first split, received ${now}; the file has ` +
        'changed, submit it as a new job',
      { id, file },
    ),
};
