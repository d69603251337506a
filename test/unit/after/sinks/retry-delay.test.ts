import { describe, expect, it } from 'vitest';
import { retryDelayMs } from '../../../../src/after/sinks/spooled-sink.ts';
import { parseRetryAfterMs } from '../../../../src/after/sinks/webhook-request.ts';

const limits = { firstRetryMs: 500, maxRetryMs: 3000, maxRetryAfterMs: 60_000 };

describe('retryDelayMs', () => {
  it('doubles up to its limit', () => {
    expect([1, 2, 3, 4, 5].map((attempt) => retryDelayMs(attempt, 1, limits, null))).toEqual([
      500, 1000, 2000, 3000, 3000,
    ]);
  });

  it('is spread over its upper half', () => {
    expect([0, 0.5, 1].map((random) => retryDelayMs(2, random, limits, null))).toEqual([500, 750, 1000]);
  });

  it('is at least what the server requests, up to maxRetryAfterMs', () => {
    expect(retryDelayMs(1, 1, limits, 7000)).toBe(7000);
    expect(retryDelayMs(1, 1, limits, 100)).toBe(500);
    expect(retryDelayMs(1, 1, limits, 86_400_000)).toBe(60_000);
  });
});

describe('parseRetryAfterMs', () => {
  const noonMs = Date.UTC(2025, 0, 1, 12, 0, 0);

  it.each([
    [null, null],
    ['120', 120_000],
    [' 0 ', 0],
    ['Wed, 01 Jan 2025 12:00:30 GMT', 30_000],
    ['Wed, 01 Jan 2025 11:00:00 GMT', 0],
    ['soon', null],
  ])('reads %o', (header, expected) => {
    expect(parseRetryAfterMs(header, noonMs)).toBe(expected);
  });
});
