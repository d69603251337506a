/**
 * Returns the delay before the next attempt. It doubles with each one and is randomised over its upper half, so that
 * senders that failed together do not retry together. The server's `Retry-After` is a lower bound.
 *
 * @param attempt - number of failed attempts so far, from 1.
 * @param random - from 0 to 1.
 */
export function retryDelayMs(
  attempt: number,
  random: number,
  limits: { readonly firstRetryMs: number; readonly maxRetryMs: number; readonly maxRetryAfterMs: number },
  retryAfterMs: number | null,
): number {
  const fullMs = Math.min(limits.maxRetryMs, limits.firstRetryMs * 2 ** (attempt - 1));
  const ownMs = fullMs * (0.5 + random / 2);
  return retryAfterMs === null ? ownMs : Math.max(ownMs, Math.min(limits.maxRetryAfterMs, retryAfterMs));
}

/**
 * Parses a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3).
 *
 * @param wallMs - now, milliseconds since 1970.
 * @returns milliseconds from now, not negative; null if the header is absent or neither of these.
 */
export function parseRetryAfterMs(header: string | null, wallMs: number): number | null {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - wallMs);
}
