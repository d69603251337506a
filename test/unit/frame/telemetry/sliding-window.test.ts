import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { percentilesOf, SlidingWindow } from '../../../../src/frame/telemetry/sliding-window.ts';

/** Nearest rank by its definition: the smallest value with at least q percent of all at or below it. */
function naive(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.find((value) => sorted.filter((other) => other <= value).length * 100 >= percent * sorted.length)!;
}

describe('percentilesOf', () => {
  it('agrees with the definition of the nearest rank', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 250 }), (values) => {
        expect(percentilesOf(Float64Array.from(values))).toEqual({
          count: values.length,
          p50: naive(values, 50),
          p95: naive(values, 95),
          p99: naive(values, 99),
          max: Math.max(...values),
        });
      }),
    );
  });

  it('is all zeros without samples', () => {
    expect(percentilesOf(new Float64Array(0))).toEqual({ count: 0, p50: 0, p95: 0, p99: 0, max: 0 });
  });
});

describe('SlidingWindow', () => {
  it('uses exactly the samples of the last ten seconds, however often it is read', () => {
    const step = fc.record({ gapMs: fc.nat(3000), value: fc.nat(1000), isAsked: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const window = new SlidingWindow();
        const all: { at: number; value: number }[] = [];
        let now = 0;
        for (const { gapMs, value, isAsked } of steps) {
          now += gapMs;
          window.add(now, value);
          all.push({ at: now, value });
          if (isAsked) window.percentiles(now);
        }
        const recent = all.filter(({ at }) => now - at <= 10_000).map(({ value }) => value);
        const { count, p50, max } = window.percentiles(now);
        expect(count).toBe(recent.length);
        if (count > 0) expect([p50, max]).toEqual([naive(recent, 50), Math.max(...recent)]);
      }),
    );
  });

  it('keeps the newest 4096 samples if there are more', () => {
    const window = new SlidingWindow();
    for (let i = 0; i < 5000; i++) window.add(i / 1000, i);
    const { count, p50, max } = window.percentiles(5);
    expect([count, p50, max]).toEqual([4096, 904 + 2047, 4999]);
  });

  it('discards old samples, and accepts new ones afterwards', () => {
    const window = new SlidingWindow();
    window.add(0, 5);
    expect(window.percentiles(10_001).count).toBe(0);
    window.add(10_002, 7);
    expect(window.percentiles(10_002)).toEqual({ count: 1, p50: 7, p95: 7, p99: 7, max: 7 });
  });
});
