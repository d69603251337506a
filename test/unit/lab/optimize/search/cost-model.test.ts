import { describe, expect, it } from 'vitest';
import type { Configuration } from '../../../../../src/lab/optimize/result.ts';
import { CostModel } from '../../../../../src/lab/optimize/search/cost-model.ts';
import { InferTimeBook } from '../../../../../src/lab/optimize/search/infer-times.ts';
import { BASELINE as PLAIN } from '../../../../support/sample-steps.ts';

const SHAPE = {
  cores: 2,
  streams: 1,
  picturePx: 1e6,
  isOnGpu: false,
  decodedRatio: { all: 1, reference: 0.5, key: 0.02 },
};
const HERE: Configuration = {
  ...PLAIN,
  model: 'a',
  inputSize: '320x320',
  inferenceThreads: 2,
  maxDelayMs: 5,
};

function learned(isOnGpu = false): CostModel {
  const times = new InferTimeBook();
  times.add(HERE, { oneThreadMs: 8, allThreadsMs: 10 });
  const costs = new CostModel({ ...SHAPE, isOnGpu }, times);
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
    expect(new CostModel({ ...SHAPE, cores: 4, streams: 4, picturePx: 1e5 }, times).fps(one)).toBeCloseTo(125);
  });

  it('is limited by the decoder of one stream', () => {
    const times = new InferTimeBook();
    times.add(HERE, { oneThreadMs: 1, allThreadsMs: 1 });
    const costs = new CostModel({ ...SHAPE, cores: 64 }, times);
    const trial = { fps: 90, p99Ms: 30, relativeError: null, meetsTargets: true, measurements: [] };
    costs.learn(HERE, { ...trial, cpuMsPerFrame: { decode: 20, preprocess: 1, infer: 1, main: 0.1, total: 22.1 } });
    expect(costs.fps({ ...HERE, inferenceThreads: 64 })).toBeCloseTo(50);
    expect(costs.gain(HERE, { ...HERE, decodeThreads: 2 })).toBeGreaterThan(1.5);
  });

  it('of every third frame counts a third of inference: 2 / (3 + 6 + 10/3 + 1 ms)', () => {
    expect(learned().fps({ ...HERE, trackBetween: 3 })).toBeCloseTo(2000 / (10 + 10 / 3));
  });

  it('counts the crops of second stages, which have one thread: 2 / (20 + 5 ms), and 1 / 30 ms', () => {
    const withCrops = (ms: number): CostModel => {
      const times = new InferTimeBook();
      times.add(HERE, { oneThreadMs: 8, allThreadsMs: 10 });
      const costs = new CostModel({ ...SHAPE, cropMs: ({ stages }) => (stages.length === 0 ? 0 : ms) }, times);
      const cpuMsPerFrame = { decode: 3, preprocess: 6, infer: 10, main: 1, total: 20 };
      costs.learn(HERE, { fps: 90, p99Ms: 30, meetsTargets: true, measurements: [], cpuMsPerFrame });
      return costs;
    };
    const cascade = { ...HERE, stages: [{ name: 'colour', model: 'm.yaml', per: 'frame' as const, again: undefined }] };
    expect(withCrops(5).fps(HERE)).toBeCloseTo(2000 / 20);
    expect(withCrops(5).fps(cascade)).toBeCloseTo(2000 / 25);
    expect(withCrops(30).fps(cascade)).toBeCloseTo(1000 / 30);
  });

  it('of key frames counts a fiftieth of the work behind the decoder, which is the limit then: 1 / (0.19 * 3 ms)', () => {
    const costs = learned();
    const key = { ...HERE, decode: 'key' } as const;
    expect(costs.fps(key)).toBeCloseTo(1000 / (0.19 * 3));
    expect(costs.costs(key).infer).toBeCloseTo(10 / 50);
    // What the decoder really takes then is learned, and says nothing about decoding all frames.
    const trial = { fps: 900, p99Ms: 30, meetsTargets: true, measurements: [] };
    costs.learn(key, { ...trial, cpuMsPerFrame: { decode: 1, preprocess: 0.12, infer: 0.2, main: 0.02, total: 1.34 } });
    expect(costs.costs(key)).toMatchObject({ decode: 1, preprocess: expect.closeTo(0.12), main: expect.closeTo(0.02) });
    expect(costs.costs(HERE)).toMatchObject({ decode: 3, preprocess: expect.closeTo(6), main: expect.closeTo(1) });
  });

  it('from a pipeline that decodes reference frames scales what those took', () => {
    const costs = new CostModel(SHAPE, new InferTimeBook());
    const reference = { ...HERE, decode: 'reference' } as const;
    const trial = { fps: 90, p99Ms: 30, meetsTargets: true, measurements: [] };
    costs.learn(reference, { ...trial, cpuMsPerFrame: { decode: 7.2, preprocess: 3, infer: 5, main: 1, total: 16.2 } });
    expect(costs.costs({ ...HERE, decode: 'key' }).decode).toBeCloseTo(1.9);
    expect(costs.costs({ ...reference, resizeBy: 'ffmpeg' }).decode).toBe(7.2);
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
