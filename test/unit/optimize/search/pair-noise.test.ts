import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/core/seeded-random.ts';
import type { Configuration } from '../../../../src/optimize/result.ts';
import type { Pair } from '../../../../src/optimize/search/evaluator.ts';
import { LearnedGains } from '../../../../src/optimize/search/learned-gains.ts';
import { PairNoise, ratioOf } from '../../../../src/optimize/search/pair-noise.ts';

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
});

describe('what measured changes teach', () => {
  const at = (change: Partial<Configuration>): Configuration => ({
    ...{ model: 'a', engine: 'onnx', precision: 'f32', inputSize: '320x320', inferenceThreads: 1, lanes: 1 },
    ...{ decodeThreads: 1, maxBatch: 1, maxDelayMs: 5, resizeBy: 'ffmpeg', hwaccel: 'none' },
    ...{ skipUnchanged: false, trackBetween: 1 },
    ...change,
  });

  it('corrects the prediction for the same value beside other values', () => {
    const learned = new LearnedGains();
    learned.add(at({}), at({ skipUnchanged: true }), 1.28, 1.01);
    const other = { inferenceThreads: 2 };
    expect(learned.corrected(at(other), at({ ...other, skipUnchanged: true }), 1.28)).toBeCloseTo(1.01);
    expect(learned.corrected(at({}), at({ lanes: 2 }), 1.1)).toBe(1.1);
  });

  it('learns from the latest of several, of what was predicted with the earlier', () => {
    const learned = new LearnedGains();
    learned.add(at({}), at({ lanes: 2 }), 1.5, 1.2);
    learned.add(at({}), at({ lanes: 2 }), learned.corrected(at({}), at({ lanes: 2 }), 1.5), 1.1);
    expect(learned.corrected(at({}), at({ lanes: 2 }), 1.5)).toBeCloseTo(1.1);
  });

  it('learns nothing from changes of several levers at once', () => {
    const learned = new LearnedGains();
    learned.add(at({}), at({ lanes: 2, maxBatch: 4 }), 2, 1);
    expect(learned.corrected(at({}), at({ lanes: 2 }), 1.5)).toBe(1.5);
  });
});
