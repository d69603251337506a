import { describe, expect, it } from 'vitest';
import {
  anytimeQuantile,
  type Estimate,
  FEWEST_BLOCKS,
  lowerBound,
  pairedDifference,
  ratioOfBlocks,
  upperBound,
} from '../../../../src/base/statistics/sequential.ts';
import { gaussian } from '../../../support/seeded-random.ts';

const ALPHA = 0.05;
/** The prior variance of the effect size that the module uses. */
const PRIOR = 0.2;

describe('anytimeQuantile', () => {
  it.each([
    [8, 0.05],
    [20, 0.01],
    [64, 0.05],
  ])('is where the Bayes factor of %i blocks, integrated by hand, reaches 1 / %f', (n, alpha) => {
    const t = anytimeQuantile(n, alpha);
    // Sufficient statistics with that t: mean t / sqrt(n), sample standard deviation 1.
    expect(bayesFactor(n, t / Math.sqrt(n), n - 1) * alpha).toBeCloseTo(1, 3);
  });

  it('approaches the mixture boundary of Robbins for known variance', () => {
    const n = 1_000_000;
    const known = Math.sqrt(2 * (1 + 1 / (n * PRIOR)) * Math.log(Math.sqrt(1 + n * PRIOR) / ALPHA));
    expect(anytimeQuantile(n, ALPHA) / known).toBeCloseTo(1, 4);
  });

  it('is wider than a fixed 95 % interval, and infinite for very few blocks', () => {
    expect(anytimeQuantile(100, ALPHA)).toBeGreaterThan(1.96);
    expect(anytimeQuantile(2, ALPHA)).toBe(Number.POSITIVE_INFINITY);
    expect(() => anytimeQuantile(10, 0)).toThrow(RangeError);
  });

  it('excludes the truth in at most 5 % of 1,000 runs that are looked at 2,000 times; a fixed interval in most', () => {
    const quantiles = Array.from({ length: 2001 }, (_, n) => anytimeQuantile(n, ALPHA));
    let anytime = 0;
    let fixed = 0;
    for (let run = 1; run <= 1000; run++) {
      const next = gaussian(run);
      const [wrong, wrongFixed] = everExcluded(2000, next, (n) => quantiles[n]!);
      if (wrong) anytime += 1;
      if (wrongFixed) fixed += 1;
    }
    expect(anytime).toBeLessThanOrEqual(50);
    expect(fixed).toBeGreaterThan(500);
  });
});

describe('ratioOfBlocks', () => {
  it('is the ratio of the sums, and its error that of the textbook', () => {
    const a = [2, 4, 3, 5];
    const estimate = ratioOfBlocks(a, [10, 10, 10, 10], 0)!;
    expect(estimate).toMatchObject({ value: 0.35, blocks: 4 });
    // Deviations of a / 10 from 0.35: -0.15, 0.05, -0.05, 0.15.
    expect(errorOf(estimate)).toBeCloseTo(Math.sqrt((0.0225 * 2 + 0.0025 * 2) / 3 / 4), 12);
  });

  it('weighs blocks by what they are counted against, and leaves empty ones out', () => {
    expect(ratioOfBlocks([1, 0, 9], [10, 0, 30], 0)).toMatchObject({ value: 0.25, blocks: 2 });
    expect(ratioOfBlocks([0, 0], [0, 0], 0)).toBeNull();
  });

  it('is not certain because all blocks are alike', () => {
    const estimate = ratioOfBlocks(new Array(20).fill(0), new Array(20).fill(1), 0.03)!;
    expect(errorOf(estimate)).toBeGreaterThan(0.002);
    expect(upperBound(estimate, ALPHA)).toBeGreaterThan(0.005);
  });

  it('knows that correlated blocks say less', () => {
    const ones = new Array<number>(128).fill(1);
    const ratios = Array.from({ length: 40 }, (_, seed) => {
      const noise = gaussian(seed);
      const alone = Array.from({ length: 128 }, () => noise());
      let last = 0;
      const correlated = alone.map((value) => {
        last = 0.8 * last + 0.6 * value;
        return last;
      });
      return errorOf(ratioOfBlocks(correlated, ones, 0)!) / errorOf(ratioOfBlocks(alone, ones, 0)!);
    });
    // The error of their mean is three times as large. Groups of eight show sqrt(1 + 2 sum (1 - k / 8) 0.8^k) = 2.2 of it.
    const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    expect(mean).toBeGreaterThan(1.6);
    expect(mean).toBeLessThan(2.6);
  });

  it.each([
    ['skewed', 0, 16, 0.05],
    ['skewed and correlated', 0.5, 32, 0.06],
  ])(
    'gives intervals that exclude the truth of %s blocks (%f) from block %i in at most %f of 300 runs of 300 looks',
    (_, memory, from, most) => {
      const wrong = Array.from({ length: 300 }, (_, run) => everWrong(run, memory, from));
      expect(wrong.filter((side) => side === 'low').length).toBeLessThanOrEqual(300 * 0.02);
      expect(wrong.filter((side) => side !== null).length).toBeLessThanOrEqual(300 * most);
    },
  );

  it('finds a difference of half a standard deviation in all of 100 runs within 200 blocks', () => {
    let found = 0;
    for (let run = 1; run <= 100; run++) {
      const next = gaussian(run + 5000);
      const values: number[] = [];
      for (let n = 0; n < 200; n++) values.push(0.5 + next());
      const estimate = ratioOfBlocks(values, new Array(200).fill(1), 0)!;
      if (lowerBound(estimate, ALPHA) > 0) found += 1;
    }
    expect(found).toBe(100);
  });
});

describe('differences', () => {
  const ones = new Array<number>(64).fill(1);
  const next = gaussian(11);
  const common = Array.from({ length: 64 }, () => next());
  const first = common.map((value) => value + 0.2 + 0.01 * next());

  it('of paired blocks lose what both share', () => {
    const paired = pairedDifference({ a: first, b: ones }, { a: common, b: ones }, 0)!;
    const [one, two] = [ratioOfBlocks(first, ones, 0)!, ratioOfBlocks(common, ones, 0)!];
    expect(paired.value).toBeCloseTo(one.value - two.value, 10);
    expect(errorOf(paired)).toBeLessThan(Math.hypot(errorOf(one), errorOf(two)) / 50);
  });

  it('need something on both sides', () => {
    expect(pairedDifference({ a: [1], b: [1] }, { a: [0], b: [0] }, 0)).toBeNull();
  });
});

describe('bounds', () => {
  it('are infinite below the fewest blocks', () => {
    const errors = [{ standardError: 0.001, groups: FEWEST_BLOCKS }];
    const few = { value: 0, blocks: FEWEST_BLOCKS - 1, thirdMoment: 0, errors };
    expect(lowerBound(few, ALPHA)).toBe(Number.NEGATIVE_INFINITY);
    expect(upperBound({ ...few, blocks: FEWEST_BLOCKS }, ALPHA)).toBeLessThan(0.01);
  });
});

/** The largest standard error. */
function errorOf({ errors }: Estimate): number {
  return Math.max(...errors.map(({ standardError }) => standardError));
}

/** Bayes factor of a normal effect size against none, both with the prior 1 / sigma, by a grid of both parameters. */
function bayesFactor(n: number, mean: number, squares: number): number {
  const marginal = (hasEffect: boolean): number => {
    let sum = 0;
    for (let logSigma = -3; logSigma <= 3; logSigma += 0.01) {
      const sigma = Math.exp(logSigma);
      for (let effect = hasEffect ? -4 : 0; effect <= (hasEffect ? 4 : 0); effect += 0.01) {
        const deviation = squares + n * (mean - effect * sigma) ** 2;
        const prior = hasEffect ? Math.exp((-effect * effect) / (2 * PRIOR)) / Math.sqrt(2 * Math.PI * PRIOR) : 100;
        sum += prior * Math.exp(-n * logSigma - deviation / (2 * sigma * sigma)) * 0.01 * 0.01;
      }
    }
    return sum;
  };
  return marginal(true) / marginal(false);
}

/** Whether 0 was outside the interval at any look: of the sequence, and of 1.96 standard errors. */
function everExcluded(looks: number, next: () => number, quantile: (n: number) => number): [boolean, boolean] {
  let [mean, squares] = [0, 0];
  let [anytime, fixed] = [false, false];
  for (let n = 1; n <= looks; n++) {
    const value = next();
    const delta = value - mean;
    mean += delta / n;
    squares += delta * (value - mean);
    if (n < FEWEST_BLOCKS) continue;
    const t = Math.abs(mean) / Math.sqrt(squares / (n - 1) / n);
    anytime ||= t > quantile(n);
    fixed ||= t > 1.96;
  }
  return [anytime, fixed];
}

/** Blocks that are exponential with memory, mean 1: which end of the interval is beyond 1 at any of 300 looks? */
function everWrong(seed: number, memory: number, from: number): 'low' | 'high' | null {
  const noise = gaussian(seed + 9000);
  const fresh = Math.sqrt(1 - memory * memory);
  const values: number[] = [];
  const ones: number[] = [];
  let [one, two] = [noise(), noise()];
  for (let n = 1; n <= 300; n++) {
    // The sum of two squared standard normals is exponential with mean 2.
    [one, two] = [memory * one + fresh * noise(), memory * two + fresh * noise()];
    values.push((one * one + two * two) / 2);
    ones.push(1);
    if (n < from) continue;
    const estimate = ratioOfBlocks(values, ones, 0)!;
    if (lowerBound(estimate, ALPHA) > 1) return 'low';
    if (upperBound(estimate, ALPHA) < 1) return 'high';
  }
  return null;
}
