/** An outcome that was already reported to the user; only the exit code remains to be set. 3: done, but a target was not met; 130: interrupted. */
export class ReportedFailure extends Error {
  readonly exitCode: 1 | 2 | 3 | 130;

  /** @param cause - a SightlineError, or the failure of work that ran elsewhere. */
  constructor(cause: { readonly message: string; readonly exitCode: 1 | 2 | 3 | 130 }) {
    super(cause.message, { cause });
    this.exitCode = cause.exitCode;
  }
}
