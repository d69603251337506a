import { roundToEven } from '../half.ts';
import type { RangeHistogram } from './histogram.ts';

/** The range of real numbers that 8 bits represent, from `low` to `high`; always includes zero. */
export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

/** Maps a real number to a byte: `round(x / scale) + zero`, ties to even, saturated to 0..255. */
export interface Quantiser {
  readonly scale: number;
  readonly zero: number;
}

/** The rules by which a range is found. */
export const RANGE_RULES = ['percentile', 'mse'] as const;
export type RangeRule = (typeof RANGE_RULES)[number];

/** Share of the values that a range of the rule `percentile` covers on each side. */
const USUAL_SHARE = 0.9999;

/** Bounds that are tried on each side, from the extreme value down to a twentieth of it. */
const BOUNDS_TRIED = 40;
/** Number of searches of each bound: the best upper bound depends on the lower one. */
const SEARCH_ROUNDS = 2;
const LEVELS = 255;

/** Finds the range that holds `share` of all values on each side; the outermost ones are left out. Zero is always inside. */
export function percentileRange(histogram: RangeHistogram, share: number = USUAL_SHARE): ValueRange {
  const { counts, total } = histogram;
  const spare = total * (1 - share);
  const low = outermost(counts, spare, 1);
  const high = outermost(counts, spare, -1);
  const half = histogram.binWidth / 2;
  return {
    low: Math.max(Math.min(histogram.centre(low) - half, 0), histogram.min),
    high: Math.min(Math.max(histogram.centre(high) + half, 0), histogram.max),
  };
}

/** Returns the first bin, from one end, at which more than `spare` values have been passed. */
function outermost(counts: Float64Array, spare: number, step: 1 | -1): number {
  let passed = 0;
  const first = step === 1 ? 0 : counts.length - 1;
  for (let bin = first; bin >= 0 && bin < counts.length; bin += step) {
    passed += counts[bin]!;
    if (passed > spare) return bin;
  }
  return first;
}

/**
 * Finds the range with the least mean squared error of 8 bits: a narrower one rounds more finely and cuts off more.
 *
 * @param through - the activation after the tensor. The error is measured on its result, so that the range need not cover numbers
 *   that the activation maps to nearly the same result.
 */
export function mseRange(histogram: RangeHistogram, through: (x: number) => number = (x) => x): ValueRange {
  const bins: Bin[] = [];
  for (const [bin, count] of histogram.counts.entries()) {
    const value = histogram.centre(bin);
    if (count > 0) bins.push({ value, count, result: through(value) });
  }
  let best: ValueRange = { low: histogram.min, high: histogram.max };
  let least = squaredError(bins, best, through);
  for (let round = 0; round < SEARCH_ROUNDS; round += 1) {
    for (const side of ['high', 'low'] as const) {
      const extreme = side === 'high' ? histogram.max : histogram.min;
      if (extreme === 0) continue;
      const { low, high } = best;
      for (let step = 1; step < BOUNDS_TRIED; step += 1) {
        const tried = { low, high, [side]: extreme * (1 - (step * 0.95) / (BOUNDS_TRIED - 1)) };
        const error = squaredError(bins, tried, through);
        if (error < least) [least, best] = [error, tried];
      }
    }
  }
  return best;
}

interface Bin {
  readonly value: number;
  readonly count: number;
  /** The value after the activation. */
  readonly result: number;
}

function squaredError(bins: readonly Bin[], range: ValueRange, through: (x: number) => number): number {
  const quantiser = quantiserOf(range);
  const results = Float64Array.from({ length: LEVELS + 1 }, (_, level) =>
    through((level - quantiser.zero) * quantiser.scale),
  );
  let sum = 0;
  for (const { value, count, result } of bins) {
    const difference = results[levelOf(value, quantiser)]! - result;
    sum += count * difference * difference;
  }
  return sum;
}

/** Returns scale and zero point of a range; the scale is an f32, as in the file. Zero is exact: padding and relu rely on it. */
export function quantiserOf({ low, high }: ValueRange): Quantiser {
  const [bottom, top] = [Math.min(low, 0), Math.max(high, 0)];
  const scale = Math.fround((top - bottom) / LEVELS);
  if (!(scale > 0)) return { scale: 1, zero: 0 };
  return { scale, zero: Math.min(Math.max(roundToEven(-bottom / scale), 0), LEVELS) };
}

/** Returns the byte that represents a number. */
export function levelOf(value: number, { scale, zero }: Quantiser): number {
  return Math.min(Math.max(roundToEven(value / scale) + zero, 0), LEVELS);
}
