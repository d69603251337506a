import type { SightlineError } from '../errors/sightline-error.ts';

/** A failure that the user has already been told of: only the exit code is left to do. */
export class ReportedFailure extends Error {
  readonly exitCode: 1 | 2;

  constructor(cause: SightlineError) {
    super(cause.message, { cause });
    this.exitCode = cause.exitCode;
  }
}
