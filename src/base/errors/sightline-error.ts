import { withoutHidden } from '../core/hidden-values.ts';
import { ERROR_CODES, type ErrorCode } from './error-codes.ts';

/** Facts of an error that a program can read, by name. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/** Details that programs act on, by code. One is absent where it is not known. */
export interface KnownDetails {
  /** Who writes the file. */
  SINK_BUSY: { readonly sink?: string; readonly path?: string; readonly pid?: number; readonly host?: string };
  /** Where results could not be written, and how many were lost. */
  SINK_FAILED: { readonly sink?: string; readonly path?: string; readonly lostResults?: number };
  /** The address that another program has. */
  PORT_IN_USE: { readonly host?: string; readonly port?: number };
  /** Why a pushed picture was dropped, such as `queue-full`; how many streams there are; how much memory is left. */
  LIMIT_REACHED: { readonly reason?: string; readonly streams?: number; readonly availableMb?: number };
  /** Seconds to wait before the next attempt. */
  TOO_MANY_ATTEMPTS: { readonly waitS?: number };
  /** Size of the picture. */
  SOURCE_TOO_LARGE: { readonly width?: number; readonly height?: number };
}

/** An error as sent between threads, processes and over sockets. Class identity is lost on the way; the code is kept. */
export interface WireError {
  /** Stable name of the error, see `ERROR_CODES`. */
  readonly code: ErrorCode;
  /** Where, what was expected, what was received, one sentence. */
  readonly message: string;
  /** The facts of the message as plain data. */
  readonly details?: ErrorDetails;
}

/**
 * The error class of the project. The message states where, what was expected, what was received and, if known, what to
 * do; `details` has the same as plain data, typed by `code` as in `KnownDetails`. Neither has a hidden value, see `hideValue`.
 */
export type SightlineError =
  | { [C in keyof KnownDetails]: CodedError<C> }[keyof KnownDetails]
  | CodedError<Exclude<ErrorCode, keyof KnownDetails>>;

interface CodedError<C extends ErrorCode> extends AnyError {
  readonly code: C;
  readonly details: C extends keyof KnownDetails ? ErrorDetails & KnownDetails[C] : ErrorDetails;
}

class AnyError extends Error {
  /** As Node.js prints it. */
  static override readonly name = 'SightlineError';
  /** Always `SightlineError`. */
  override readonly name = 'SightlineError';
  /** Stable name of the error, see `ERROR_CODES`. */
  readonly code: ErrorCode;
  /** The facts of the message as plain data; empty if there are none. */
  readonly details: ErrorDetails;

  /** @param message - where, what was expected, what was received. @param details - the same as plain data. */
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(withoutHidden(message), options);
    this.code = code;
    this.details = withoutHiddenValues(details);
  }

  /** Whether the same may succeed later. */
  get isRetryable(): boolean {
    return ERROR_CODES[this.code].retryable;
  }

  /** Exit code of a command that ends with this error. */
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
   * its cause; INTERNAL_ERROR becomes CONFIG_INVALID if a folder cannot be written.
   */
  static from(thrown: unknown, code: ErrorCode): SightlineError {
    if (thrown instanceof SightlineError) return thrown;
    const unwritable = code === 'INTERNAL_ERROR' ? unwritableText(thrown) : null;
    if (unwritable !== null) return new SightlineError('CONFIG_INVALID', unwritable, {}, { cause: thrown });
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new SightlineError(code, message, {}, { cause: thrown });
  }
}

interface SightlineErrorClass extends Pick<typeof AnyError, 'fromWire' | 'from'> {
  new (...args: ConstructorParameters<typeof AnyError>): SightlineError;
  readonly prototype: SightlineError;
  /** As every class has it; so that TypeScript tells the union from other types. */
  [Symbol.hasInstance](value: unknown): value is SightlineError;
}

/** Makes errors, and tells them from others with `instanceof`. */
export const SightlineError: SightlineErrorClass = AnyError as unknown as SightlineErrorClass;

function withoutHiddenValues(details: ErrorDetails): ErrorDetails {
  const entries = Object.entries(details).map(([key, value]) => [
    key,
    typeof value === 'string' ? withoutHidden(value) : value,
  ]);
  return Object.fromEntries(entries) as ErrorDetails;
}

/** Calls that only a writer makes; others fail with the same codes if a file cannot be read. */
const WRITING = /^(?:mkdir|mkdtemp|rename|unlink|rm|rmdir|copyfile|link|symlink)$/;

/**
 * Says what to do about an error of the file system if it comes from a folder that cannot be written, as in a container with a
 * read-only root; null for any other error.
 */
export function unwritableText(thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return null;
  const { code, syscall = '', path = 'a file' } = thrown as Error & { code?: string; syscall?: string; path?: string };
  const isRefused = WRITING.test(syscall) && (code === 'EACCES' || code === 'EPERM');
  // Node.js makes this of a read-only file system when it makes folders one in another.
  const isMissing = syscall === 'mkdir' && code === 'ENOENT';
  if (code !== 'EROFS' && !isRefused && !isMissing) return null;
  const why = isRefused ? 'permission was denied' : 'the file system is read-only';
  return `${path}: cannot be written: ${why}. Set SIGHTLINE_CACHE_DIR to a writable folder, where all that is kept goes, and TMPDIR to one for temporary files; "sightline doctor" checks them`;
}
