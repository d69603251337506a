import { describe, expect, it } from 'vitest';
import { inCpuTime } from '../../../../../src/lab/optimize/run/pipeline-evaluator.ts';
import { streamFigures, trialResult } from '../../../../support/trial-figures.ts';

/** A run of which each frame cost so many milliseconds of CPU time, on two cores. */
function run(fps: number, cpuMs: number | null) {
  const perStream = [streamFigures('a', [], [], { fps, mediaSpeed: fps / 25 })];
  const cpuMsPerFrame = cpuMs === null ? null : { decode: 0, preprocess: 0, infer: cpuMs, main: 0, total: cpuMs };
  return trialResult({ fps, perStream, cores: 2, cpuMsPerFrame });
}

describe('a run by its CPU time', () => {
  it('has the rate that all cores would have if they did nothing else, however busy the machine was', () => {
    expect(inCpuTime(run(50, 20)).fps).toBeCloseTo(100, 9);
    expect(inCpuTime(run(9, 20)).fps).toBeCloseTo(100, 9);
  });

  it('keeps how its streams share the rate, and how fast each passes its media time', () => {
    const { perStream, streamFps } = inCpuTime(run(50, 20));
    expect(perStream[0]!.fps).toBeCloseTo(100, 9);
    expect(perStream[0]!.mediaSpeed).toBeCloseTo(4, 9);
    expect(streamFps[0]).toBeCloseTo(100, 9);
  });

  it('is refused where the system does not report CPU time', () => {
    expect(() => inCpuTime(run(50, null))).toThrow('does not report the CPU time of a frame');
  });
});
