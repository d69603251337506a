/** A failure that the user has already been told of: only the exit code is left to do. */
export class ReportedFailure extends Error {
  readonly exitCode: 1 | 2;

  /** @param cause - a SightlineError, or what stands for the failure of something that ran elsewhere. */
  constructor(cause: { readonly message: string; readonly exitCode: 1 | 2 }) {
    super(cause.message, { cause });
    this.exitCode = cause.exitCode;
  }
}
