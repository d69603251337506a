import { studentQuantile } from '../../measure/distributions.ts';
import type { Pair } from './evaluator.ts';

/** Counts as this many observed pairs of the noise that is expected. */
const PRIOR_PAIRS = 4;
/** A pair is looked at up to twice, so each look has half of the 5 % that a 95 % interval leaves. */
const LEVEL = 1 - 0.025 / 2;

/**
 * Estimates the noise of this machine from pairs of runs: the two halves of each pair measure the same ratio, so their difference is
 * only noise. All pairs share one estimate, since a single pair says little.
 */
export class PairNoise {
  #squares: number;
  #pairs = PRIOR_PAIRS;

  /** @param noiseRatio - expected standard deviation of the rate of one run, relative to it. */
  constructor(noiseRatio: number) {
    // The logarithm of a ratio of two runs has twice the variance of one.
    this.#squares = PRIOR_PAIRS * 2 * noiseRatio ** 2;
  }

  add({ ratios: [first, second] }: Pair): void {
    this.#squares += Math.log(first / second) ** 2 / 2;
    this.#pairs += 1;
  }

  /** Variance of the logarithm of a pair's ratio, the mean of its halves. */
  get variance(): number {
    return this.#squares / this.#pairs / 2;
  }

  /** The interval of a ratio: at least 95 %, also if it was looked at twice. @param variance - of the logarithm of `ratio`. */
  interval(ratio: number, variance: number): readonly [number, number] {
    const reach = studentQuantile(LEVEL, this.#pairs) * Math.sqrt(variance);
    return [ratio * Math.exp(-reach), ratio * Math.exp(reach)];
  }
}

/** The ratio of a pair: the geometric mean of its halves. */
export function ratioOf({ ratios: [first, second] }: Pick<Pair, 'ratios'>): number {
  return Math.sqrt(first * second);
}
