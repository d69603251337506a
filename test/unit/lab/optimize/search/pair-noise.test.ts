import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import type { Pair } from '../../../../../src/lab/optimize/search/evaluator.ts';
import { PairNoise, ratioOf } from '../../../../../src/lab/optimize/search/experiments.ts';

const random = seededRandom(11);
const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Two halves of a pair whose true ratio is `ratio`; each run scatters by `noise`. */
function pair(ratio: number, noise: number): Pair {
  const half = (): number => ratio * Math.exp((normal() - normal()) * noise);
  return { ratios: [half(), half()] } as unknown as Pair;
}

describe('the interval of a pair', () => {
  it.each([0.02, 0.05, 0.1])(
    'holds the true ratio in 95 of 100 cases at a noise of %d, whatever was expected',
    (noise) => {
      let held = 0;
      const searches = 400;
      for (let i = 0; i < searches; i++) {
        const book = new PairNoise(0.05);
        // What a search sees: several changes of different size, then the one in question.
        for (let step = 0; step < 8; step++) book.add(pair(1 + random(), noise));
        const last = pair(1.3, noise);
        book.add(last);
        const [low, high] = book.interval(ratioOf(last), book.variance);
        if (low <= 1.3 && high >= 1.3) held += 1;
      }
      expect(held / searches).toBeGreaterThanOrEqual(0.95);
    },
  );

  it('grows with the noise that pairs show', () => {
    const [quiet, noisy] = [new PairNoise(0.05), new PairNoise(0.05)];
    for (let i = 0; i < 10; i++) {
      quiet.add(pair(1.1, 0.01));
      noisy.add(pair(1.1, 0.2));
    }
    expect(noisy.variance).toBeGreaterThan(10 * quiet.variance);
  });

  it('of a pair that was disturbed is its own, and spoils those of others little', () => {
    const book = new PairNoise(0.05);
    for (let i = 0; i < 10; i++) book.add(pair(1.1, 0.03));
    const before = book.variance;
    // One of its four runs was at a fifth of its rate.
    const disturbed = { ratios: [1.05, 4.3] as const };
    book.add(disturbed);
    const [low, high] = book.interval(ratioOf(disturbed), book.varianceOf(disturbed));
    expect(low).toBeLessThan(1);
    expect(high).toBeGreaterThan(4);
    expect(book.variance).toBeLessThan(2 * before);
    const next = pair(1.1, 0.03);
    expect(book.varianceOf(next)).toBe(book.variance);
  });
});
