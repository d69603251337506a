import { describe, expect, it } from 'vitest';
import { framesNeeded } from '../../../src/measure/binomial-bound.ts';

describe('frames that a percentile needs', () => {
  it.each([
    [0.99, 0, 459],
    [0.99, 1, 662],
    [0.99, 5, 1307],
    [0.95, 1, 130],
    [0.9, 1, 64],
  ])('p%f with %i misses: the published number', (quantile, misses, frames) => {
    expect(framesNeeded(quantile, misses)).toBe(frames);
  });

  it('without a miss it is the smallest n with q^n <= 1 %', () => {
    for (const quantile of [0.5, 0.9, 0.95, 0.99, 0.999])
      expect(framesNeeded(quantile, 0)).toBe(Math.ceil(Math.log(0.01) / Math.log(quantile)));
  });

  it('one frame fewer is not enough, by exact sums with big integers', () => {
    // P(X <= k) for p = 1/20 is the sum of C(n, i) 19^(n - i) over 20^n.
    const atMost = (n: number, k: number): number => {
      let sum = 0n;
      let choose = 1n;
      for (let i = 0; i <= k; i++) {
        sum += choose * 19n ** BigInt(n - i);
        choose = (choose * BigInt(n - i)) / BigInt(i + 1);
      }
      return Number((sum * 10n ** 12n) / 20n ** BigInt(n)) / 1e12;
    };
    for (const misses of [0, 1, 2, 7, 20]) {
      const frames = framesNeeded(0.95, misses);
      expect(atMost(frames, misses)).toBeLessThanOrEqual(0.01);
      expect(atMost(frames - 1, misses)).toBeGreaterThan(0.01);
    }
  });

  it('refuses what is no quantile', () => {
    for (const quantile of [0, 1, Number.NaN]) expect(() => framesNeeded(quantile, 0)).toThrow(RangeError);
    expect(() => framesNeeded(0.99, -1)).toThrow(RangeError);
  });
});
