import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { comparisonVerdict, ratioInterval } from '../../../../src/lab/measure/compare.ts';

const PAIRS = 6;

/** Box and Muller, 1958. */
function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Rates of two configurations: the machine's speed drifts between pairs, and each measurement has noise of its own. */
function simulate(seed: number, trueRatio: number, noise: number): { a: number[]; b: number[] } {
  const random = seededRandom(seed);
  const a: number[] = [];
  const b: number[] = [];
  for (let i = 0; i < PAIRS; i++) {
    const speed = 100 * Math.exp(0.2 * gaussian(random));
    a.push(speed * Math.exp(noise * gaussian(random)));
    b.push(speed * trueRatio * Math.exp(noise * gaussian(random)));
  }
  return { a, b };
}

describe('the interval of a ratio', () => {
  it('pairs that all have the same ratio give exactly that ratio', async () => {
    const { ratio, interval } = await ratioInterval([10, 20, 30, 40, 50, 60], [15, 30, 45, 60, 75, 90], 1);
    expect(ratio).toBeCloseTo(1.5, 12);
    expect(interval[0]).toBeCloseTo(1.5, 12);
    expect(interval[1]).toBeCloseTo(1.5, 12);
  });

  it('is the geometric mean, so that swapping the sides inverts it', async () => {
    const a = [10, 11, 12, 10, 9, 10];
    const b = [20, 20, 27, 21, 18, 22];
    const product = a.reduce((sum, value, i) => sum * (b[i]! / value), 1);
    expect((await ratioInterval(a, b, 3)).ratio).toBeCloseTo(product ** (1 / 6), 12);
    expect((await ratioInterval(b, a, 3)).ratio).toBeCloseTo(product ** (-1 / 6), 12);
  });

  it('depends on the seed alone', async () => {
    const { a, b } = simulate(5, 1.1, 0.05);
    expect(await ratioInterval(a, b, 9)).toEqual(await ratioInterval(a, b, 9));
    const [one, other] = [await ratioInterval(a, b, 10), await ratioInterval(a, b, 9)];
    expect(one.interval).not.toEqual(other.interval);
  });

  it('holds the true ratio in about 95 % of 500 simulated comparisons', async () => {
    let held = 0;
    for (let seed = 0; seed < 500; seed++) {
      const { a, b } = simulate(seed, 1.2, 0.05);
      const [low, high] = (await ratioInterval(a, b, seed)).interval;
      if (low <= 1.2 && 1.2 <= high) held += 1;
    }
    // Standard deviation of the count at 95 %: 4.9.
    expect(held).toBeGreaterThanOrEqual(460);
    expect(held).toBeLessThanOrEqual(490);
  });

  it.each([0.01, 0.1])(
    'equal configurations with noise %f are called better or worse in at most 5 %',
    async (noise) => {
      let wrong = 0;
      for (let seed = 0; seed < 500; seed++) {
        const { a, b } = simulate(seed + 1000, 1, noise);
        if (comparisonVerdict((await ratioInterval(a, b, seed)).interval) !== 'inconclusive') wrong += 1;
      }
      expect(wrong).toBeLessThanOrEqual(25);
    },
  );

  it('a gain of 10 % is seen in the usual noise of 1 %', async () => {
    let seen = 0;
    for (let seed = 0; seed < 100; seed++) {
      const { a, b } = simulate(seed, 1.1, 0.01);
      if (comparisonVerdict((await ratioInterval(a, b, seed)).interval) === 'better') seen += 1;
    }
    expect(seen).toBeGreaterThanOrEqual(99);
  });

  it.each([
    ['too few pairs', [1, 2, 3, 4], [1, 2, 3, 4]],
    ['sides of different length', [1, 2, 3, 4, 5], [1, 2, 3, 4]],
    ['a rate of zero', [1, 2, 3, 4, 0], [1, 2, 3, 4, 5]],
    ['a rate that was not measured', [1, 2, 3, 4, 5], [1, 2, 3, 4, Number.NaN]],
  ])('%s is refused', async (_, a, b) => {
    await expect(ratioInterval(a, b, 1)).rejects.toThrow(RangeError);
  });
});
