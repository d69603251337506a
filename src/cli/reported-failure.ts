/** A failure that was already reported to the user; only the exit code remains to be set. */
export class ReportedFailure extends Error {
  readonly exitCode: 1 | 2;

  /** @param cause - a SightlineError, or the failure of work that ran elsewhere. */
  constructor(cause: { readonly message: string; readonly exitCode: 1 | 2 }) {
    super(cause.message, { cause });
    this.exitCode = cause.exitCode;
  }
}
