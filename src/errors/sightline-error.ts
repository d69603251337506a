import { ERROR_CODES, type ErrorCode } from './error-codes.ts';

/** Facts of an error that a program can read, by name. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/** An error as sent between threads, processes and over sockets. Class identity is lost on the way; the code is kept. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: ErrorDetails;
}

/**
 * The error class of the project. The message states where, what was expected, what was received and, if known, what to
 * do; `details` has the same as plain data.
 */
export class SightlineError extends Error {
  override readonly name = 'SightlineError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  get isRetryable(): boolean {
    return ERROR_CODES[this.code].retryable;
  }

  get exitCode(): 1 | 2 {
    return ERROR_CODES[this.code].exit;
  }

  /** Returns the error as plain data, for other threads and for clients. */
  toWire(): WireError {
    return { code: this.code, message: this.message, details: this.details };
  }

  /** Makes the error again from what `toWire` returned. */
  static fromWire(wire: WireError): SightlineError {
    return new SightlineError(wire.code, wire.message, wire.details);
  }

  /**
   * Wraps anything thrown: a `SightlineError` is returned unchanged; anything else gets `code`, with the original as
   * its cause.
   */
  static from(thrown: unknown, code: ErrorCode): SightlineError {
    if (thrown instanceof SightlineError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new SightlineError(code, message, {}, { cause: thrown });
  }
}
