import { SightlineError } from '../../errors/sightline-error.ts';

const MAX_REASON_CHARS = 1_000;

export interface TaskFailure {
  readonly reason: string;
  /** Errors without a code can have any cause, so they are retried. */
  readonly isRetryable: boolean;
}

/** Returns the reason to store for an error that ended a task, and whether to retry. */
export function taskFailure(error: unknown): TaskFailure {
  const message = error instanceof Error ? error.message : String(error);
  const text = error instanceof SightlineError ? `${error.code}: ${message}` : message;
  return {
    reason:
      text.length > MAX_REASON_CHARS ? `${text.slice(0, MAX_REASON_CHARS)}...` : text || 'failed without a message',
    isRetryable: error instanceof SightlineError ? error.isRetryable : true,
  };
}
