import { describe, expect, it } from 'vitest';
import { type BottleneckContext, findBottlenecks } from '../../../../src/lab/measure/bottlenecks.ts';
import type { TrialResult } from '../../../../src/lab/measure/trial-result.ts';
import type { GpuReport } from '../../../../src/wire/protocol/power-report.ts';
import { QUIET, trialResult } from '../../../support/trial-figures.ts';

const CONTEXT: BottleneckContext = { hasOwnDevice: false, inferSlowdown: null, isResizedBySharp: false };

function find(changes: Partial<TrialResult>, context: Partial<BottleneckContext> = {}) {
  return findBottlenecks(trialResult(changes), { ...CONTEXT, ...context });
}

/** CPU milliseconds of a frame. */
function cpu(decode: number, preprocess: number, infer: number, main: number) {
  return { decode, preprocess, infer, main, total: decode + preprocess + infer + main };
}

describe('bottlenecks', () => {
  it('one inference thread on two idle cores: the second thread is proposed, with its gain', () => {
    const quiet = { ...QUIET, otherRatio: 0 };
    const found = find({
      fps: 1000 / 30,
      cpuMsPerFrame: cpu(4, 4, 30, 2),
      servers: { decode: 1, preprocess: 1, infer: 1, main: 1 },
      machine: quiet,
    });
    const more = found.find(({ lever }) => lever === 'inferenceThreads')!;
    // Before: one thread, 30 ms. After: 40 ms of CPU a frame on two cores, 20 ms.
    expect(more.predictedGain).toBeCloseTo(30 / 20, 9);
    expect(more.remedy).toContain('2 inference threads instead of 1');
    expect(more).toMatchObject({ part: 'infer', measuredGain: null });
    expect(more.busyRatio).toBeCloseTo(1, 9);
    expect(found.every(({ part }) => part === 'infer')).toBe(true);
  });

  it('all cores busy: more threads are not proposed, less work is', () => {
    const found = find({
      fps: 50,
      cpuMsPerFrame: cpu(4, 4, 30, 2),
      servers: { decode: 1, preprocess: 1, infer: 2, main: 1 },
      machine: { ...QUIET, otherRatio: 0 },
    });
    expect(found.map(({ lever }) => lever)).not.toContain('inferenceThreads');
    // 40 ms become 25 if inference takes half.
    expect(found[0]).toMatchObject({ part: 'infer', lever: 'engine' });
    expect(found[0]!.predictedGain).toBeCloseTo(40 / 25, 9);
    expect(found[0]!.explanation).toContain('75 % of the CPU time of a frame');
  });

  it('the ranking follows the figures: where decoding costs most, it comes first', () => {
    const [first] = find({
      fps: 50,
      cpuMsPerFrame: cpu(30, 0, 8, 2),
      servers: { decode: 8, preprocess: 1, infer: 2, main: 1 },
      machine: { ...QUIET, otherRatio: 0 },
    });
    expect(first).toMatchObject({ part: 'decode', lever: 'hwaccel' });
    expect(first!.predictedGain).toBeCloseTo(40 / 25, 9);
  });

  it('one decoder thread that cannot keep up is given a second one', () => {
    const [first] = find({
      fps: 50,
      cores: 8,
      cpuMsPerFrame: cpu(20, 0, 20, 2),
      servers: { decode: 1, preprocess: 1, infer: 8, main: 1 },
    });
    expect(first).toMatchObject({ part: 'decode', lever: 'decodeThreads' });
    expect(first!.predictedGain).toBeCloseTo(2, 9);
  });

  it('inference and decoding on a GPU are explained with what its driver says, and nothing is where it says nothing', () => {
    const gpu = {
      index: 0,
      name: 'A100',
      memoryUsedBytes: null,
      memoryTotalBytes: null,
      powerW: null,
      temperatureC: null,
    };
    const figures = {
      fps: 100,
      cores: 16,
      cpuMsPerFrame: cpu(4, 0, 1, 2),
      busyRatio: { decode: 0.1, preprocess: 0, infer: 1, main: 0.1 },
      servers: { decode: 4, preprocess: 4, infer: 1, main: 1 },
    };
    const text = (gpus?: readonly GpuReport[]): string =>
      find({ ...figures, ...(gpus === undefined ? {} : { gpus }) }, { hasOwnDevice: true })
        .map(({ explanation }) => explanation)
        .join(' ');
    expect(text([{ ...gpu, busyRatio: 0.97, decoderRatio: 0.4 }])).toContain('The GPU computes 97 % of the time.');
    expect(text([{ ...gpu, busyRatio: null, decoderRatio: 0 }])).not.toContain('The GPU');
    expect(text()).not.toContain('The GPU');
  });

  it('full pictures through sharp are moved to ffmpeg, only if sharp is used', () => {
    const figures = {
      fps: 50,
      cpuMsPerFrame: cpu(4, 20, 14, 2),
      servers: { decode: 4, preprocess: 4, infer: 2, main: 1 },
      machine: { ...QUIET, otherRatio: 0 },
    };
    const [first] = find(figures, { isResizedBySharp: true });
    expect(first).toMatchObject({ part: 'preprocess', lever: 'resizeBy' });
    expect(first!.predictedGain).toBeCloseTo(40 / 24, 9);
    expect(find(figures).map(({ part }) => part)).not.toContain('preprocess');
  });

  it('inferences that slow each other down are a matter of memory bandwidth', () => {
    const figures = {
      fps: 50,
      cpuMsPerFrame: cpu(2, 0, 36, 2),
      servers: { decode: 4, preprocess: 4, infer: 2, main: 1 },
      machine: { ...QUIET, otherRatio: 0 },
    };
    const memory = find(figures, { inferSlowdown: 1.5 }).find(({ part }) => part === 'memory');
    // 36 ms would be 24 alone: 40 become 28.
    expect(memory?.predictedGain).toBeCloseTo(40 / 28, 9);
    expect(memory?.explanation).toContain('1.50 times as long while 2 threads infer');
    expect(find(figures, { inferSlowdown: 1.05 }).map(({ part }) => part)).not.toContain('memory');
  });

  it('a slowdown that was measured limits what more threads promise', () => {
    const figures = { cpuMsPerFrame: cpu(0, 0, 30, 0), machine: { ...QUIET, otherRatio: 0 } };
    const gain = (inferSlowdown: number | null) =>
      find(figures, { inferSlowdown }).find(({ lever }) => lever === 'inferenceThreads')!.predictedGain;
    expect(gain(null)).toBeCloseTo(2, 9);
    expect(gain(1.25)).toBeCloseTo(1.6, 9);
  });

  it('other processes and stolen time are named, with what they cost', () => {
    const others = find({
      fps: 30,
      cpuMsPerFrame: cpu(4, 4, 30, 2),
      servers: { decode: 1, preprocess: 1, infer: 2, main: 1 },
      machine: { ...QUIET, otherRatio: 0.3, stealRatio: 0.1 },
    }).find(({ part }) => part === 'others');
    expect(others?.explanation).toContain('40 % of the CPU');
    expect(others?.predictedGain).toBeCloseTo(1 / 0.6, 9);
  });

  it('cameras that are all served lose no frames to other processes, but latency', () => {
    const figures = {
      cpuMsPerFrame: cpu(4, 4, 30, 2),
      servers: { decode: 1, preprocess: 1, infer: 2, main: 1 },
      machine: { ...QUIET, otherRatio: 0.6 },
    };
    const others = (changes: Partial<TrialResult>) =>
      find({ ...figures, ...changes }).find(({ part }) => part === 'others')!;
    expect(others({ scenario: 'cameras x2' })).toMatchObject({ predictedGain: 1 });
    expect(others({ scenario: 'cameras x2' }).explanation).toContain('but later');
    expect(others({ scenario: 'cameras x2', dropRatio: 0.2 }).predictedGain).toBeCloseTo(2.5, 9);
    expect(others({ scenario: 'offline' }).predictedGain).toBeCloseTo(2.5, 9);
  });

  it('a device of its own is judged by its time, not by the CPU that waits for it', () => {
    const [first] = find(
      {
        fps: 100,
        cores: 8,
        cpuMsPerFrame: cpu(4, 0, 1, 1),
        busyRatio: { decode: 0.1, preprocess: 0, infer: 1, main: 0.1 },
        servers: { decode: 8, preprocess: 8, infer: 1, main: 1 },
      },
      { hasOwnDevice: true },
    );
    // 10 ms a frame on the device; in half the time the device does 200, and eight cores do more.
    expect(first).toMatchObject({ part: 'infer', lever: 'engine' });
    expect(first!.predictedGain).toBeCloseTo(2, 9);
  });

  it('an ffmpeg that is held back shows that what follows is slower', () => {
    const text = (heldBackRatio: number) => find({ heldBackRatio })[0]!.explanation;
    expect(text(0.82)).toContain('ffmpeg is held back 82 % of the time');
    expect(text(0.1)).not.toContain('held back');
  });

  it('waiting with idle threads is a matter of the batch delay, waiting with a growing queue of the load', () => {
    const stagesMs = { ...trialResult().stagesMs, wait: 60 };
    const idle = find({ stagesMs, busyRatio: { decode: 0.1, preprocess: 0, infer: 0.3, main: 0.1 } });
    expect(idle.find(({ part }) => part === 'wait')).toMatchObject({ lever: 'maxDelayMs', predictedGain: 1 });
    const busyRatio = { decode: 0.1, preprocess: 0, infer: 0.99, main: 0.1 };
    const overloaded = find({ stagesMs, busyRatio, queueGrowthPerS: 4, dropRatio: 0.2 });
    const wait = overloaded.find(({ part }) => part === 'wait')!;
    expect(wait.explanation).toContain('grow by 4.0 a second and 20 % are dropped');
    expect(wait.lever).toBeNull();
    expect(find({ stagesMs, busyRatio }).map(({ part }) => part)).not.toContain('wait');
  });

  it('a blocked event loop is reported with its delay', () => {
    const blocked = find({ eventLoopP99Ms: 75 }).find(({ part }) => part === 'event-loop');
    expect(blocked?.explanation).toContain('75.0 ms');
    expect(find({ eventLoopP99Ms: 5 }).map(({ part }) => part)).not.toContain('event-loop');
  });

  it('without CPU figures it says what it can', () => {
    const found = find({ cpuMsPerFrame: null });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ part: 'infer', busyRatio: 0.75, predictedGain: 1 });
  });

  it('is sorted by the predicted gain', () => {
    const gains = find({ eventLoopP99Ms: 75 }, { isResizedBySharp: true, inferSlowdown: 1.4 }).map(
      ({ predictedGain }) => predictedGain,
    );
    expect(gains.length).toBeGreaterThan(2);
    expect(gains).toEqual([...gains].sort((a, b) => b - a));
  });
});
