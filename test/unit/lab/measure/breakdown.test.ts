import { describe, expect, it } from 'vitest';
import type { MonoMs } from '../../../../src/base/core/units.ts';
import { PartTimes } from '../../../../src/frame/telemetry/part-times.ts';
import { latencyParts, littleLawGap, subtractSums, type TimedFrame } from '../../../../src/lab/measure/breakdown.ts';

function frame(dueMs: number, ...at: readonly [number, number, number, number, number, number]): TimedFrame {
  const [captured, decoded, preprocessed, batched, inferred, published] = at as readonly number[] as readonly MonoMs[];
  return {
    dueMs,
    times: {
      captured: captured!,
      decoded: decoded!,
      preprocessed: preprocessed!,
      batched: batched!,
      inferred: inferred!,
      published: published!,
    },
  };
}

describe('the parts of a latency', () => {
  const frames = [frame(90, 100, 102, 105, 115, 145, 150), frame(130, 130, 134, 137, 139, 169, 178)];
  const times = new PartTimes();
  // Both frames in one batch: 4 ms behind another, 20 ms in the engine, 5 ms for boxes; 1 ms of 30 is lost.
  times.addBatch({ frames: 2, inputs: 2, waitMs: 4, inferMs: 20, postprocessMs: 5 });
  times.addTrack(1);
  times.addTrack(3);
  times.addSend(0.5);

  it('are the means of what each frame and each batch took', () => {
    const parts = latencyParts(frames, times.sums());
    const expected = {
      read: (10 + 0) / 2,
      decode: (2 + 4) / 2,
      preprocess: 3,
      wait: (10 + 2) / 2 + 4,
      infer: 20,
      postprocess: 5,
      track: 2,
      publish: (5 + 9) / 2 - 2,
      unaccounted: 1,
    };
    for (const [part, ms] of Object.entries(expected))
      expect(parts[part as keyof typeof parts], part).toBeCloseTo(ms, 9);
  });

  it('add up to the whole, from due to published', () => {
    const parts = latencyParts(frames, times.sums());
    const sum = Object.values(parts).reduce((a, b) => a + b, 0);
    expect(sum).toBeCloseTo((60 + 48) / 2, 9);
  });

  it('show time that nothing explains as unaccounted', () => {
    const lazy = new PartTimes();
    lazy.addBatch({ frames: 2, inputs: 2, waitMs: 0, inferMs: 20, postprocessMs: 0 });
    expect(latencyParts(frames, lazy.sums()).unaccounted).toBeCloseTo(10, 9);
  });

  it('count frames that were not inferred with no time on an inference thread', () => {
    // Half of the frames repeat a result: 20 ms in the engine for the others, 10 in the mean.
    const one = new PartTimes();
    one.addBatch({ frames: 1, inputs: 1, waitMs: 0, inferMs: 20, postprocessMs: 0 });
    const mixed = [frame(0, 0, 0, 0, 0, 20, 20), frame(40, 40, 40, 40, 40, 40, 41)];
    const parts = latencyParts(mixed, one.sums());
    expect(parts.infer).toBeCloseTo(10, 9);
    expect(parts.publish).toBeCloseTo(0.5, 9);
    expect(parts.unaccounted).toBeCloseTo(0, 9);
  });

  it('are zero without frames', () => {
    expect(Object.values(latencyParts([], new PartTimes().sums())).every((ms) => ms === 0)).toBe(true);
  });

  it('count every frame of a batch with the whole time of the batch', () => {
    const before = times.sums();
    times.addBatch({ frames: 4, inputs: 4, waitMs: 1, inferMs: 10, postprocessMs: 2 });
    expect(subtractSums(times.sums(), before)).toMatchObject({
      inferredFrames: 4,
      inferredInputs: 4,
      threadWaitMs: 4,
      inferMs: 40,
      postprocessMs: 8,
      sentFrames: 0,
      failedFrames: 0,
    });
  });

  it('count the frames whose inference failed apart', () => {
    const before = times.sums();
    times.addFailed(3);
    expect(subtractSums(times.sums(), before)).toMatchObject({ failedFrames: 3, inferredFrames: 0 });
  });
});

describe("Little's law", () => {
  it('holds where frames in flight are rate times latency', () => {
    // 50 frames/s for 2 s, each 40 ms in flight: 2 at any time.
    expect(littleLawGap(2, 100 * 40, 2000)).toBe(0);
  });

  it('reports frames that are in flight and never leave', () => {
    expect(littleLawGap(4, 100 * 40, 2000)).toBeCloseTo(0.5, 12);
  });

  it('reports latencies that are too long or too short', () => {
    expect(littleLawGap(2, 100 * 60, 2000)).toBeCloseTo(0.5, 12);
    expect(littleLawGap(2, 100 * 20, 2000)).toBeCloseTo(0.5, 12);
    expect(littleLawGap(0, 100 * 40, 2000)).toBe(1);
  });

  it('takes less than a twentieth of a frame as the resolution of the samples', () => {
    expect(littleLawGap(0.1, 0.06 * 2000, 2000)).toBe(0);
  });
});
