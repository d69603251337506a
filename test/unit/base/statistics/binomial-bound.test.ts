import { describe, expect, it } from 'vitest';
import { framesNeeded, isBeyond, shareInterval } from '../../../../src/base/statistics/binomial-bound.ts';

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

  it('a smaller risk needs more: 0.01 / 5 without a miss 619 frames for p99', () => {
    expect(framesNeeded(0.99, 0, 0.01 / 5)).toBe(619);
    expect(() => framesNeeded(0.99, 0, 0)).toThrow(RangeError);
  });

  it('refuses what is no quantile', () => {
    for (const quantile of [0, 1, Number.NaN]) expect(() => framesNeeded(quantile, 0)).toThrow(RangeError);
    expect(() => framesNeeded(0.99, -1)).toThrow(RangeError);
  });
});

describe('a share that is surely exceeded', () => {
  it.each([
    // P(X >= k) for B(2000, 0.01) is 1.3 % and 0.8 %, for B(100, 0.01) 1.8 % and 0.34 %, summed elsewhere.
    [2000, 31, false],
    [2000, 32, true],
    [100, 4, false],
    [100, 5, true],
    [1, 1, true],
    [500, 0, false],
  ])('of %i frames %i misses: %s for a share of 1 %%', (frames, misses, isSure) => {
    expect(isBeyond(0.01, misses, frames)).toBe(isSure);
  });

  it('a share of 0 is exceeded by one miss, and a share of 1 never', () => {
    expect(isBeyond(0, 1, 10)).toBe(true);
    expect(isBeyond(0, 0, 10)).toBe(false);
    expect(isBeyond(1, 10, 10)).toBe(false);
  });

  it('of a million frames is as exact', () => {
    // Mean 10,000, standard deviation 99.5: 232 above is 2.33 of them, the 1 % point.
    expect(isBeyond(0.01, 10_200, 1_000_000)).toBe(false);
    expect(isBeyond(0.01, 10_260, 1_000_000)).toBe(true);
  });
});

describe('the interval of a share', () => {
  it.each([
    // By sums of decimals with 50 digits.
    [0, 10, 0, 0.3084971],
    [5, 10, 0.187086, 0.812914],
    [10, 10, 0.6915029, 1],
    [3, 40, 0.01574218, 0.2038647],
    [1, 1000, 0.00002531749, 0.005558924],
  ])('%i of %i: that of Clopper and Pearson', (hits, trials, low, high) => {
    const [from, to] = shareInterval(hits, trials);
    expect(from).toBeCloseTo(low, 6);
    expect(to).toBeCloseTo(high, 6);
  });

  it('says nothing without a trial', () => {
    expect(shareInterval(0, 0)).toEqual([0, 1]);
  });
});
