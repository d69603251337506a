import type { InterruptedCode } from './interruption.ts';

/** An outcome that was already reported to the user; only the exit code remains to be set. 3: done, but a target was not met. */
export class ReportedFailure extends Error {
  readonly exitCode: 1 | 2 | 3 | InterruptedCode;

  /** @param cause - a SightlineError, or the failure of work that ran elsewhere. */
  constructor(cause: { readonly message: string; readonly exitCode: 1 | 2 | 3 | InterruptedCode }) {
    super(cause.message, { cause });
    this.exitCode = cause.exitCode;
  }
}
