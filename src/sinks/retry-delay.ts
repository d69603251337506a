/**
 * How long to wait before the next attempt: doubles with each one, and is spread over its upper half so that senders
 * that failed together do not come back together. What the server asks for (`Retry-After`) is a lower bound.
 *
 * @param attempt - attempts that failed so far, from 1.
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
 * Reads a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3).
 *
 * @param wallMs - now, milliseconds since 1970.
 * @returns milliseconds from now, not negative; null where the header is absent or neither.
 */
export function parseRetryAfterMs(header: string | null, wallMs: number): number | null {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - wallMs);
}
