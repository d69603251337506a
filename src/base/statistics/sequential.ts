/**
 * Sequential inference on the means of blocks: intervals that stay valid although they are looked at after every block.
 *
 * An interval of fixed size, such as a 95 % interval, is right once. Looked at every second for ten minutes it excludes the truth
 * in a third of all cases. The intervals here exclude the truth at any look, ever, with probability `alpha` in all.
 */

/** A mean with its uncertainty. */
export interface Estimate {
  readonly value: number;
  /** Blocks that it was computed from. */
  readonly blocks: number;
  /** Its standard error from groups of blocks, shortest groups first; longer groups include more of the correlation in time. */
  readonly errors: readonly { readonly standardError: number; readonly groups: number }[];
  /** Third central moment of `value`: the blocks' own, divided by the square of their number. */
  readonly thirdMoment: number;
}

/** With fewer blocks there is no interval: the mean of a skewed figure is too far from normal. */
export const FEWEST_BLOCKS = 16;

/** Width of the prior on the effect in standard deviations of a block, squared: the interval is tightest at about 60 blocks. */
const PRIOR_VARIANCE = 0.2;
/** Blocks that differ by `typical`, assumed beside those observed: blocks that are all alike are no proof of certainty. */
const ASSUMED_BLOCKS = 4;
/** Fewest groups of blocks that still tell a variance, and how near to infinity an interval of few groups may be. */
const FEWEST_GROUPS = 12;
const LARGEST_LEVEL = 0.75;
const GROUP_SIZES = [1, 2, 4, 8];

/**
 * Returns how many standard errors the interval reaches to either side: Infinity while there are too few blocks.
 *
 * The t-test with a normal prior on the effect size and the right-Haar prior on the scale is a test martingale (T. Lai, 1976; H. Wang
 * and A. Ramdas, Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance, 2024). By Ville's
 * inequality it exceeds `1 / alpha` with probability `alpha` at most, over all looks together. Exact for normal blocks; for others
 * it approaches the asymptotic confidence sequence (I. Waudby-Smith et al., Annals of Statistics, 2024).
 *
 * @param blocks - number of independent observations behind the standard error.
 * @param alpha - probability over all looks that the interval excludes the truth, above 0 and below 1.
 */
export function anytimeQuantile(blocks: number, alpha: number): number {
  if (!(alpha > 0 && alpha < 1)) throw new RangeError(`expected alpha between 0 and 1, received ${alpha}`);
  if (blocks < 2) return Number.POSITIVE_INFINITY;
  const share = levelOf(blocks, alpha);
  const level = share * (1 + blocks * PRIOR_VARIANCE);
  return share >= 1 ? Number.POSITIVE_INFINITY : Math.sqrt(((blocks - 1) * (level - 1)) / (1 - share));
}

/** Where so many blocks stand between a bound of 0 and none at all: from 1 the interval is infinite. */
function levelOf(blocks: number, alpha: number): number {
  const spread = 1 + blocks * PRIOR_VARIANCE;
  return (Math.sqrt(spread) / alpha) ** (2 / blocks) / spread;
}

/**
 * Estimates `sum(a) / sum(b)` over blocks.
 *
 * Neighbouring blocks may be correlated: the error is estimated from groups of up to eight blocks too (batch means).
 *
 * @param a - what is counted, one number for each block.
 * @param b - what it is counted against; as many, none negative.
 * @param typical - difference from the mean that would not surprise in a block, in units of `a / b`: floor of the variance.
 * @returns null if `b` is 0 everywhere.
 */
export function ratioOfBlocks(a: readonly number[], b: readonly number[], typical: number): Estimate | null {
  const used = b.flatMap((weight, i) => (weight > 0 || a[i] !== 0 ? [i] : []));
  const total = used.reduce((sum, i) => sum + b[i]!, 0);
  if (total <= 0) return null;
  const value = used.reduce((sum, i) => sum + a[i]!, 0) / total;
  const scale = total / used.length;
  const residuals = used.map((i) => (a[i]! - value * b[i]!) / scale);
  return { value, ...uncertaintyOf(residuals, typical) };
}

/**
 * Estimates the difference of two ratios, `sum(a1) / sum(b1) - sum(a2) / sum(b2)`, that were observed in the same blocks.
 *
 * @returns null if `b1` or `b2` is 0 everywhere.
 */
export function pairedDifference(
  first: { readonly a: readonly number[]; readonly b: readonly number[] },
  second: { readonly a: readonly number[]; readonly b: readonly number[] },
  typical: number,
): Estimate | null {
  const blocks = first.a.length;
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const [weight1, weight2] = [sum(first.b), sum(second.b)];
  if (weight1 <= 0 || weight2 <= 0) return null;
  const [ratio1, ratio2] = [sum(first.a) / weight1, sum(second.a) / weight2];
  const residuals = first.a.map(
    (a, i) =>
      ((a - ratio1 * first.b[i]!) * blocks) / weight1 - ((second.a[i]! - ratio2 * second.b[i]!) * blocks) / weight2,
  );
  return { value: ratio1 - ratio2, ...uncertaintyOf(residuals, typical) };
}

/** Returns the estimate with every standard error changed. */
export function withErrors(estimate: Estimate, change: (standardError: number) => number): Estimate {
  return {
    ...estimate,
    errors: estimate.errors.map(({ standardError, groups }) => ({ standardError: change(standardError), groups })),
  };
}

/** Lowest value that is not excluded; minus Infinity while there are too few blocks. */
export function lowerBound(estimate: Estimate, alpha: number): number {
  return estimate.value - reach(estimate, alpha, -1);
}

/** Highest value that is not excluded; Infinity while there are too few blocks. */
export function upperBound(estimate: Estimate, alpha: number): number {
  return estimate.value + reach(estimate, alpha, 1);
}

/** Distance from the estimate to the end of its interval, upwards (1) or downwards (-1). */
function reach({ errors, blocks, thirdMoment }: Estimate, alpha: number, direction: 1 | -1): number {
  if (blocks < FEWEST_BLOCKS) return Number.POSITIVE_INFINITY;
  // At a small alpha a dozen groups hardly bound anything: then shorter groups must do.
  const telling = errors.filter(({ groups }, i) => i === 0 || levelOf(groups, alpha) <= LARGEST_LEVEL);
  const widest = Math.max(
    ...telling.map(({ standardError, groups }) => standardError * anytimeQuantile(groups, alpha)),
  );
  // The mean of figures that are rarely large is mostly too low. N. Johnson, Modified t tests and confidence intervals for
  // asymmetrical populations, 1978; only ever to the wider.
  const { standardError } = errors[0]!;
  const variance = standardError ** 2;
  const shift = (thirdMoment / (6 * variance)) * (1 + (2 * widest ** 2) / variance);
  return widest + Math.max(0, Number.isFinite(shift) ? direction * shift : 0);
}

/** Uncertainty of the mean of values whose mean is 0. */
function uncertaintyOf(residuals: readonly number[], typical: number): Omit<Estimate, 'value'> {
  const blocks = residuals.length;
  const thirdMoment = residuals.reduce((sum, residual) => sum + residual ** 3, 0) / blocks ** 3;
  const sizes = GROUP_SIZES.filter((size) => size === 1 || Math.floor(blocks / size) >= FEWEST_GROUPS);
  return { blocks, thirdMoment, errors: sizes.map((size) => errorOfGroups(residuals, size, typical)) };
}

function errorOfGroups(residuals: readonly number[], size: number, typical: number): Estimate['errors'][number] {
  const groups = Math.floor(residuals.length / size);
  if (groups < 2) return { standardError: Number.POSITIVE_INFINITY, groups };
  let squares = 0;
  // The oldest blocks are left out where the groups do not fill up.
  for (let group = 0, at = residuals.length - groups * size; group < groups; group++) {
    let sum = 0;
    for (let i = 0; i < size; i++, at++) sum += residuals[at]!;
    squares += sum * sum;
  }
  const variance = (squares / size + ASSUMED_BLOCKS * typical * typical) / (groups - 1);
  return { standardError: Math.sqrt(variance / residuals.length), groups };
}
