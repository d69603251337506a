import { SightlineError } from '../../errors/sightline-error.ts';

const LONGEST_REASON = 1_000;

export interface TaskFailure {
  readonly reason: string;
  /** Errors without a code may be anything, so they are tried again. */
  readonly isRetryable: boolean;
}

/** What is remembered of an error that ended a task. */
export function taskFailure(error: unknown): TaskFailure {
  const message = error instanceof Error ? error.message : String(error);
  const text = error instanceof SightlineError ? `${error.code}: ${message}` : message;
  return {
    reason: text.length > LONGEST_REASON ? `${text.slice(0, LONGEST_REASON)}...` : text || 'failed without a message',
    isRetryable: error instanceof SightlineError ? error.isRetryable : true,
  };
}
