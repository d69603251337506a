import { describe, expect, it } from 'vitest';
import type { Configuration } from '../../../../src/optimize/result.ts';
import { CostModel } from '../../../../src/optimize/search/cost-model.ts';
import { InferTimeBook } from '../../../../src/optimize/search/infer-times.ts';

const HERE: Configuration = {
  ...{ model: 'a', engine: 'onnx', precision: 'f32', inputSize: '320x320' },
  ...{ inferenceThreads: 2, lanes: 1, decodeThreads: 1, maxBatch: 1, maxDelayMs: 5, resizeBy: 'sharp' },
  ...{ hwaccel: 'none', skipUnchanged: false, trackBetween: 1 },
};

function learned(isOnGpu = false): CostModel {
  const times = new InferTimeBook();
  times.add(HERE, { oneThreadMs: 8, allThreadsMs: 10 });
  const costs = new CostModel({ cores: 2, streams: 1, picturePx: 1e6, isOnGpu }, times);
  const cpuMsPerFrame = { decode: 3, preprocess: 6, infer: 10, main: 1, total: 20 };
  const known = { fps: 90, p99Ms: 30, relativeError: null, meetsTargets: true, measurements: [] };
  costs.learn(HERE, { ...known, cpuMsPerFrame });
  return costs;
}

describe('the predicted throughput', () => {
  it('is cores by the CPU of a frame: 2 / (3 + 6 + 10 + 1 ms)', () => {
    expect(learned().fps(HERE)).toBeCloseTo(2000 / 20);
  });

  it('is limited by the inference threads: one of 8 ms gives 125 frames/s at most', () => {
    const one = { ...HERE, inferenceThreads: 1 };
    // 2 / (3 + 6 + 8 + 1 ms) is 111, so the CPU is the limit; with 4 cores it is the thread.
    expect(learned().fps(one)).toBeCloseTo(2000 / 18);
    const times = new InferTimeBook();
    times.add(HERE, { oneThreadMs: 8, allThreadsMs: 10 });
    expect(new CostModel({ cores: 4, streams: 4, picturePx: 1e5, isOnGpu: false }, times).fps(one)).toBeCloseTo(125);
  });

  it('is limited by the decoder of one stream', () => {
    const times = new InferTimeBook();
    times.add(HERE, { oneThreadMs: 1, allThreadsMs: 1 });
    const costs = new CostModel({ cores: 64, streams: 1, picturePx: 1e6, isOnGpu: false }, times);
    const trial = { fps: 90, p99Ms: 30, relativeError: null, meetsTargets: true, measurements: [] };
    costs.learn(HERE, { ...trial, cpuMsPerFrame: { decode: 20, preprocess: 1, infer: 1, main: 0.1, total: 22.1 } });
    expect(costs.fps({ ...HERE, inferenceThreads: 64 })).toBeCloseTo(50);
    expect(costs.gain(HERE, { ...HERE, decodeThreads: 2 })).toBeGreaterThan(1.5);
  });

  it('of every third frame counts a third of inference: 2 / (3 + 6 + 10/3 + 1 ms)', () => {
    expect(learned().fps({ ...HERE, trackBetween: 3 })).toBeCloseTo(2000 / (10 + 10 / 3));
  });

  it('on a GPU takes inference from the device, not from the CPU: 2 / (3 + 6 + 1 ms)', () => {
    expect(learned(true).fps({ ...HERE, inferenceThreads: 4 })).toBeCloseTo(200);
  });

  it('as a ceiling is never below the prediction', () => {
    const costs = learned();
    for (const change of [{}, { resizeBy: 'ffmpeg' }, { precision: 'f16' }, { inputSize: '640x640' }, { model: 'b' }])
      expect(costs.fps({ ...HERE, ...change } as Configuration, true)).toBeGreaterThanOrEqual(
        costs.fps({ ...HERE, ...change } as Configuration),
      );
  });
});

describe('estimated times of inference', () => {
  it('grow with the pixels of the input', () => {
    const times = new InferTimeBook();
    times.add(HERE, { oneThreadMs: 8, allThreadsMs: 10 });
    expect(times.estimate({ ...HERE, inputSize: '640x640' }, false).oneThreadMs).toBeCloseTo(32);
  });

  it('use the ratio of two formats that was measured on another model', () => {
    const times = new InferTimeBook();
    times.add(HERE, { oneThreadMs: 10, allThreadsMs: 10 });
    times.add({ ...HERE, engine: 'openvino' }, { oneThreadMs: 4, allThreadsMs: 4 });
    times.add({ ...HERE, model: 'b' }, { oneThreadMs: 50, allThreadsMs: 50 });
    expect(times.estimate({ ...HERE, model: 'b', engine: 'openvino' }, false).allThreadsMs).toBeCloseTo(20);
  });

  it('are replaced by what was measured', () => {
    const times = new InferTimeBook();
    times.add(HERE, { oneThreadMs: 10, allThreadsMs: 10 });
    const part = { ...HERE, inputSize: '640x640' };
    times.estimate(part, false);
    times.add(part, { oneThreadMs: 7, allThreadsMs: 7 });
    expect(times.estimate(part, true)).toEqual({ oneThreadMs: 7, allThreadsMs: 7 });
  });
});
