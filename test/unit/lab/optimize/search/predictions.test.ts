import { describe, expect, it } from 'vitest';
import type { Configuration } from '../../../../../src/lab/optimize/result.ts';
import { CostModel } from '../../../../../src/lab/optimize/search/cost-model.ts';
import { InferTimeBook } from '../../../../../src/lab/optimize/search/infer-times.ts';
import { Predictions } from '../../../../../src/lab/optimize/search/predictions.ts';
import { BASELINE as PLAIN } from '../../../../support/sample-steps.ts';

const at = (change: Partial<Configuration> = {}): Configuration => ({
  ...PLAIN,
  model: 'a',
  inputSize: '320x320',
  resizeBy: 'ffmpeg',
  ...change,
});
const measured = (configuration: Configuration, fps: number) => ({ configuration, fps });

/** Of model a, and of b that takes half the time. @param wrongMs - time of preprocessing that the formula has too much. */
function predictions(wrongMs = 0): Predictions {
  const times = new InferTimeBook();
  times.add(at(), { oneThreadMs: 20, allThreadsMs: 20 });
  times.add(at({ model: 'b' }), { oneThreadMs: 10, allThreadsMs: 10 });
  const decodedRatio = { all: 1, reference: 0.5, key: 0.02 };
  const costs = new CostModel({ cores: 2, streams: 1, picturePx: 1e5, isOnGpu: false, decodedRatio }, times);
  const cpuMsPerFrame = { decode: 1, preprocess: 1 + wrongMs, infer: 20, main: 0.1, total: 22.1 + wrongMs };
  costs.learn(at(), { fps: 0, p99Ms: 0, meetsTargets: true, measurements: [], cpuMsPerFrame });
  return new Predictions(costs);
}

describe('the rate that a configuration will hardly exceed', () => {
  const [here, faster] = [at({ inferenceThreads: 2 }), at({ model: 'b', inferenceThreads: 2 })];

  it('is never below what was measured of the configuration that it starts from, however wrong the formula is', () => {
    // 2 / (1 + 21 + 20 + 0.1 ms) is 47.5: the formula contradicts a measured rate of 90.
    expect(predictions(20).mostFps([measured(here, 90)], here)).toBeGreaterThanOrEqual(90);
  });

  it('follows the ratio of the formula: what takes half the time is not ruled out by an absolute figure', () => {
    // 2 / 12.1 ms to 2 / 22.1 ms is 1.83.
    const most = predictions().mostFps([measured(here, 75)], faster);
    expect(most).toBeGreaterThan(75 * 1.83);
    expect(most).toBeLessThan(75 * 1.83 * 1.2);
  });

  it('starts from the same network where that was measured', () => {
    const known = [measured(here, 75), measured(at({ model: 'b' }), 100)];
    // One thread to two: 2 / 12.1 ms to 1 / 10 ms.
    expect(predictions().mostFps(known, faster)).toBeCloseTo(100 * 1.653 * Math.exp(0.1), 0);
  });

  it('is wider where predictions were further off', () => {
    const [right, wrong] = [predictions(), predictions()];
    for (let i = 0; i < 6; i++) {
      right.add(here, at({ model: 'b', lanes: 2 }), 1.5, 1.5 * 1.01);
      wrong.add(here, at({ model: 'b', lanes: 2 }), 1.5, 1.5 * 1.4);
    }
    const most = (of: Predictions): number => of.mostFps([measured(here, 75)], faster);
    expect(most(wrong)).toBeGreaterThan(most(right) * 1.5);
    expect(wrong.accuracy).toEqual({ count: 6, medianError: expect.closeTo(0.4) });
  });
});

describe('what measured changes teach', () => {
  it('corrects the prediction for the same value beside other values', () => {
    const learned = predictions();
    learned.add(at(), at({ maxBatch: 4 }), 1, 0.9);
    expect(learned.gain(at({ lanes: 2 }), at({ lanes: 2, maxBatch: 4 }))).toBeCloseTo(0.9);
    expect(learned.gain(at(), at({ lanes: 2 }))).toBe(1);
  });

  it('learns from the latest of several, of what was predicted with the earlier', () => {
    const learned = predictions();
    learned.add(at(), at({ lanes: 2 }), 1, 1.2);
    learned.add(at(), at({ lanes: 2 }), learned.gain(at(), at({ lanes: 2 })), 1.1);
    expect(learned.gain(at(), at({ lanes: 2 }))).toBeCloseTo(1.1);
  });

  it('learns nothing about values from changes of several levers at once', () => {
    const learned = predictions();
    learned.add(at(), at({ lanes: 2, maxBatch: 4 }), 1, 0.5);
    expect(learned.gain(at(), at({ lanes: 2 }))).toBe(1);
  });
});
