import { redact } from '../../../base/core/redact.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';

/** Errors that a retry cannot fix: unknown user, wrong password, missing rights. */
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM)\b/;
const NOT_CONNECTED = /enableOfflineQueue|Connection is closed|max retries per request/i;

/**
 * Converts an error of the client library into a SightlineError. The library's errors carry the command's arguments,
 * possibly a password, so they are not kept as a cause.
 *
 * @param lastError - why the connection was last lost, for a call that only reports a missing connection.
 */
export function redisFailure(thrown: unknown, label: string, lastError: string | null): SightlineError {
  if (thrown instanceof SightlineError) return thrown;
  const text = failureText(thrown);
  const reason = NOT_CONNECTED.test(text) ? (lastError ?? 'the connection is closed') : text;
  if (REFUSED.test(reason))
    return new SightlineError(
      'CONTROL_UNSUITABLE',
      `${label}: expected a user with access to Redis, received "${reason}"; correct user and password in the URL, or give ` +
        'the user its rights (ACL SETUSER)',
      { address: label },
    );
  return new SightlineError(
    'CONTROL_UNREACHABLE',
    `${label}: expected an answer from Redis, received: ${reason}. Check that it runs and can be reached from here`,
    { address: label },
  );
}

/** A failed connection to several addresses is an AggregateError: it has no message, only the errors inside. */
export function failureText(thrown: unknown): string {
  if (thrown instanceof AggregateError) return thrown.errors.map(failureText).join('; ');
  return redact(thrown instanceof Error ? thrown.message : String(thrown));
}
