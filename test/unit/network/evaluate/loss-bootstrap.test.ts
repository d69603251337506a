import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { estimateLosses, quantile, resample } from '../../../../src/network/evaluate/loss-bootstrap.ts';

async function draws(seed: number): Promise<number[][]> {
  const all: number[][] = [];
  await resample(20, { seed, resamples: 50 }, (counts) => all.push([...counts]));
  return all;
}

describe('resample', () => {
  it('draws as many units as there are, with replacement', async () => {
    const all = await draws(1);
    expect(all).toHaveLength(50);
    for (const counts of all) expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20);
    expect(all.some((counts) => counts.includes(0) && Math.max(...counts) > 1)).toBe(true);
  });

  it('draws the same with the same seed and something else with another', async () => {
    expect(await draws(3)).toEqual(await draws(3));
    expect(await draws(3)).not.toEqual(await draws(4));
  });

  it('lets other work of the thread run in between', async () => {
    let turns = 0;
    let isDone = false;
    const countTurns = (): void => {
      turns += 1;
      if (!isDone) setImmediate(countTurns);
    };
    setImmediate(countTurns);
    await resample(10, { seed: 1, resamples: 40 }, () => {
      const endMs = performance.now() + 2;
      while (performance.now() < endMs);
    });
    isDone = true;
    expect(turns).toBeGreaterThan(3);
  });
});

describe('an estimate', () => {
  it('has the standard error of a mean: deviation / sqrt(n)', async () => {
    const random = seededRandom(5);
    const values = Array.from({ length: 400 }, random);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const meanOf = (counts: Int32Array): number => values.reduce((sum, value, i) => sum + value * counts[i]!, 0) / 400;
    const [estimate] = await estimateLosses(400, { seed: 1, resamples: 4000 }, (counts) => ({
      reference: [meanOf(counts)],
      candidate: [0],
    }));
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 400);
    const { standardError, interval, loss } = estimate!;
    expect(loss).toBe(mean);
    expect(standardError / (deviation / 20)).toBeCloseTo(1, 1);
    expect((interval[1] - interval[0]) / (2 * 1.96 * standardError)).toBeCloseTo(1, 1);
  });

  it('leaves out resamples without a figure', async () => {
    // Only resamples that hold the first of two units have a figure.
    const [estimate] = await estimateLosses(2, { seed: 1, resamples: 50 }, (counts) => ({
      reference: [counts[0] === 0 ? Number.NaN : 0.5],
      candidate: [0.25],
    }));
    expect(estimate!.interval).toEqual([0.25, 0.25]);
  });
});

describe('quantile', () => {
  it('interpolates between neighbours', () => {
    expect(quantile(Float64Array.from([0, 10, 20]), 0.25)).toBe(5);
    expect(quantile(Float64Array.from([7]), 0.975)).toBe(7);
    expect(quantile(new Float64Array(0), 0.5)).toBeNaN();
  });
});
