import type { ErrorCode } from '../../base/errors/error-codes.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';

type Refusal = (...what: readonly string[]) => SightlineError;

function refusal(code: ErrorCode): Refusal {
  return (...what) => new SightlineError(code, what.join(': '));
}

/** Makes the error of a file that is malformed: where, if that is not known from the caller, and what is wrong. */
export const invalid = refusal('MODEL_INVALID');

/** Makes the error of a network that is valid, and that the compiler does not support. */
export const unsupported = refusal('COMPILE_UNSUPPORTED');
