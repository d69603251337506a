import { redact } from '../../core/redact.ts';
import { SightlineError } from '../../errors/sightline-error.ts';

/** How Redis begins an answer that no second attempt will change: unknown user, wrong password, missing rights. */
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM)\b/;
const NOT_CONNECTED = /enableOfflineQueue|Connection is closed|max retries per request/i;

/**
 * Puts what the client library threw into our words. The library's errors carry the command's arguments, a password among
 * them, so they are not kept as a cause.
 *
 * @param lastError - why the connection was last lost, for the case that a call only hears that there is none.
 */
export function redisFailure(thrown: unknown, label: string, lastError: string | null): SightlineError {
  if (thrown instanceof SightlineError) return thrown;
  const text = failureText(thrown);
  const reason = NOT_CONNECTED.test(text) ? (lastError ?? 'the connection is closed') : text;
  if (REFUSED.test(reason))
    return new SightlineError(
      'CONTROL_UNSUITABLE',
      `${label}: expected a user that may use Redis, received "${reason}"; correct user and password in the URL, or give ` +
        'the user its rights (ACL SETUSER)',
      { address: label },
    );
  return new SightlineError(
    'CONTROL_UNREACHABLE',
    `${label}: expected an answer from Redis, received: ${reason}. Check that it runs and can be reached from here`,
    { address: label },
  );
}

/** A connection that was tried at several addresses has its reasons inside and no message of its own. */
export function failureText(thrown: unknown): string {
  if (thrown instanceof AggregateError) return thrown.errors.map(failureText).join('; ');
  return redact(thrown instanceof Error ? thrown.message : String(thrown));
}
