import { describe, expect, it } from 'vitest';
import { roundToEven } from '../../../../../src/network/compile/half.ts';
import { RangeHistogram } from '../../../../../src/network/compile/quantise/histogram.ts';
import { levelOf, mseRange, percentileRange, quantiserOf } from '../../../../../src/network/compile/quantise/ranges.ts';

/** `count` numbers, evenly spaced from `low` to `high`. */
function even(count: number, low: number, high: number): Float32Array {
  return Float32Array.from({ length: count }, (_, at) => low + ((at + 0.5) * (high - low)) / count);
}

function histogramOf(...parts: readonly Float32Array[]): RangeHistogram {
  const histogram = new RangeHistogram();
  for (const part of parts) histogram.add(part);
  return histogram;
}

describe('RangeHistogram', () => {
  it('widens for a larger value and keeps every count', () => {
    const histogram = histogramOf(Float32Array.of(0.5, -0.25), Float32Array.of(100, Number.NaN));
    expect([histogram.min, histogram.max, histogram.total]).toEqual([-0.25, 100, 3]);
    expect(histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(3);
    const seen = Array.from(histogram.counts.entries()).filter(([, count]) => count > 0);
    for (const [bin, count] of seen) {
      const inside = [0.5, -0.25, 100].filter((value) => Math.abs(value - histogram.centre(bin)) <= histogram.binWidth);
      expect(inside).toHaveLength(count);
    }
  });

  it('of zeros alone has an empty range', () => {
    expect(percentileRange(histogramOf(new Float32Array(10)))).toEqual({ low: 0, high: 0 });
    expect(mseRange(histogramOf(new Float32Array(10)))).toEqual({ low: 0, high: 0 });
  });
});

describe('percentileRange', () => {
  it('leaves out the outermost values of each side', () => {
    // 1 % of 20,000 values on each side are 200 values, which take up 200 / 20,000 of the width of 40.
    const { low, high } = percentileRange(histogramOf(even(20_000, -10, 30)), 0.99);
    expect(Math.abs(low - -9.6)).toBeLessThan(0.03);
    expect(Math.abs(high - 29.6)).toBeLessThan(0.03);
  });

  it('begins at zero for values that are never negative', () => {
    const { low, high } = percentileRange(histogramOf(even(10_000, 0, 100)), 0.99);
    expect(low).toBe(0);
    expect(Math.abs(high - 99)).toBeLessThan(0.1);
  });
});

describe('mseRange', () => {
  it('cuts an outlier where rounding the others and cutting it cost least together', () => {
    // N values with the step c / 255 have the error N (c / 255)^2 / 12, the outlier M has (M - c)^2. The sum is least at
    // c = M / (1 + N / (12 * 255^2)), which is M / 2 for N = 780,300.
    const [outlier, count] = [10, 780_300];
    const parts = Array.from({ length: 10 }, () => even(count / 10, 0, 1));
    const { low, high } = mseRange(histogramOf(...parts, Float32Array.of(outlier)));
    expect(low).toBe(0);
    expect(Math.abs(high - outlier / 2)).toBeLessThan(outlier * 0.04);
  });

  it('keeps the whole range where nothing lies far out', () => {
    const { low, high } = mseRange(histogramOf(even(50_000, -1, 1)));
    expect(low).toBeLessThan(-0.97);
    expect(high).toBeGreaterThan(0.97);
  });

  it('spends no range on numbers that the activation behind flattens', () => {
    const histogram = histogramOf(even(50_000, -40, 4));
    const silu = (x: number): number => x / (1 + Math.exp(-x));
    expect(mseRange(histogram).low).toBeLessThan(-38);
    // SiLU of -12 is -0.00007.
    expect(mseRange(histogram, silu).low).toBeGreaterThan(-12);
  });
});

describe('quantiserOf', () => {
  it.each([
    [{ low: -1, high: 3 }, 4 / 255, 64],
    [{ low: 0, high: 6 }, 6 / 255, 0],
    [{ low: 0.5, high: 2.55 }, 0.01, 0],
    [{ low: -2.55, high: -1 }, 0.01, 255],
    [{ low: 0, high: 0 }, 1, 0],
  ])('of %j has zero among its levels', (range, scale, zero) => {
    const quantiser = quantiserOf(range);
    expect(quantiser.scale).toBeCloseTo(scale, 7);
    expect(quantiser.zero).toBe(zero);
  });

  it('saturates and rounds ties to even, as ONNX does', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999].map(roundToEven)).toEqual([0, 2, 2, -0, -2, 2]);
    const quantiser = { scale: 2, zero: 10 };
    expect([0, 1, 3, -100, 1000].map((value) => levelOf(value, quantiser))).toEqual([10, 10, 12, 0, 255]);
  });
});
