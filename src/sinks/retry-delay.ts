import { backOffMs } from '../flow/back-off.ts';

/**
 * Returns the delay before the next attempt: `backOffMs`, with the server's `Retry-After` as a lower bound.
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
  const ownMs = backOffMs(attempt, { firstMs: limits.firstRetryMs, maxMs: limits.maxRetryMs }, random);
  return retryAfterMs === null ? ownMs : Math.max(ownMs, Math.min(limits.maxRetryAfterMs, retryAfterMs));
}

/**
 * Parses a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3).
 *
 * @param wallMs - now, milliseconds since 1970.
 * @returns milliseconds from now, not negative; null if the header is absent or cannot be parsed.
 */
export function parseRetryAfterMs(header: string | null, wallMs: number): number | null {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - wallMs);
}
