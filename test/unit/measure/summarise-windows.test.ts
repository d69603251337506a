import { describe, expect, it } from 'vitest';
import type { MonoMs } from '../../../src/core/units.ts';
import { DEFAULT_LIMITS } from '../../../src/measure/interference.ts';
import type { RecordedFrame, RunWindow } from '../../../src/measure/run-recorder.ts';
import { type DueTime, summariseWindows, windowFigures } from '../../../src/measure/summarise-windows.ts';
import { PartTimes } from '../../../src/telemetry/part-times.ts';
import { QUIET } from '../../support/trial-figures.ts';

const captured: DueTime = ({ times }) => times.captured;

/** A frame that took 1 ms to each next time, and `latencyMs` altogether. */
function frame(streamId: string, publishedMs: number, latencyMs: number): RecordedFrame {
  const from = publishedMs - latencyMs;
  const at = (ms: number): MonoMs => (from + ms) as MonoMs;
  return {
    streamId,
    ptsUs: 0,
    times: {
      ...{ captured: at(0), decoded: at(1), preprocessed: at(2), batched: at(3), inferred: at(4) },
      published: publishedMs as MonoMs,
    },
  };
}

function window(startMs: number, endMs: number, changes: Partial<RunWindow> = {}): RunWindow {
  return {
    ...{ startMs, endMs, frames: [], entered: 0, dropped: 0, residenceMs: 0, inFlight: 0, heldBackRatio: 0 },
    busyRatio: { decode: 0, preprocess: 0, infer: 0, main: 0 },
    ...{ eventLoopP99Ms: 0, cpu: null, machine: QUIET, sums: new PartTimes().sums() },
    ...changes,
  };
}

/** `count` frames of 21 ms, evenly spread over a window of one second. */
function frames(streamId: string, startMs: number, count: number): RecordedFrame[] {
  return Array.from({ length: count }, (_, i) => frame(streamId, startMs + (i * 1000) / count, 21));
}

describe('windows together', () => {
  // 20 frames/s of two streams, 20 ms from decoded to published: 0.4 frames in flight.
  const windows = [0, 5000].map((startMs) =>
    window(startMs, startMs + 1000, {
      frames: [...frames('a', startMs, 15), ...frames('b', startMs, 5)],
      entered: 25,
      dropped: 5,
      residenceMs: 20 * 20 + 500,
      inFlight: 0.9,
    }),
  );
  const summary = summariseWindows(windows, ['a', 'b', 'silent'], captured);

  it('have the rate over the time measured, without the gaps between windows', () => {
    expect(summary.seconds).toBe(2);
    expect(summary.fps).toBeCloseTo(20, 12);
    expect(summary.streamFps).toEqual([15, 5, 0]);
    expect(summary.dropRatio).toBeCloseTo(0.2, 12);
  });

  it("satisfy Little's law, dropped frames included: 0.4 in flight until published, 0.5 until dropped", () => {
    expect(summary.littleLawGap).toBe(0);
    const wrong = windows.map((other) => ({ ...other, inFlight: 1.8 }));
    expect(summariseWindows(wrong, ['a', 'b'], captured).littleLawGap).toBeCloseTo(0.5, 9);
  });

  it('have parts that add up to the mean latency', () => {
    const sum = Object.values(summary.stagesMs).reduce((a, b) => a + b, 0);
    expect(sum).toBeCloseTo(21, 9);
  });

  it('count latency from the moment a frame was due where it has one', () => {
    const late = summariseWindows(windows, ['a', 'b'], ({ times }) => times.captured - 100);
    expect(late.latencyMs.p50).toBeCloseTo(121, 9);
    expect(late.stagesMs.read).toBeCloseTo(100, 9);
  });

  it('weigh longer windows more', () => {
    const machine = (ownRatio: number) => ({ ...QUIET, ownRatio });
    const mixed = [window(0, 1000, { machine: machine(0.2) }), window(1000, 4000, { machine: machine(0.6) })];
    expect(summariseWindows(mixed, [], captured).machine.ownRatio).toBeCloseTo(0.5, 12);
  });

  it('show growth of the frames in flight per second', () => {
    const growing = [0, 1, 2, 3].map((i) => window(i * 1000, i * 1000 + 1000, { inFlight: 2 + 3 * i }));
    expect(summariseWindows(growing, [], captured).queueGrowthPerS).toBeCloseTo(3, 9);
  });

  it('divide CPU time by published frames, and have none if one window has none', () => {
    const cpu = { decode: 10, preprocess: 0, infer: 80, main: 10, total: 100 };
    const measured = windows.map((other) => ({ ...other, cpu }));
    expect(summariseWindows(measured, ['a', 'b'], captured).cpuMsPerFrame?.infer).toBeCloseTo(160 / 40, 12);
    expect(summariseWindows([measured[0]!, windows[1]!], ['a', 'b'], captured).cpuMsPerFrame).toBeNull();
  });

  it('carry at most 2,000 latencies, evenly spread', () => {
    const many = [window(0, 1000, { frames: frames('a', 0, 5_001) })];
    const { latenciesMs, latencyMs } = summariseWindows(many, ['a'], captured);
    expect(latenciesMs).toHaveLength(1667);
    expect(latencyMs.count).toBe(5_001);
  });
});

describe('a window', () => {
  it('has its figures, and who disturbed it', () => {
    const machine = { ...QUIET, otherRatio: 0.5 };
    const figures = windowFigures(
      window(3000, 5000, { frames: frames('a', 3000, 40), machine }),
      captured,
      1000,
      DEFAULT_LIMITS,
    );
    expect(figures).toMatchObject({ startS: 2, seconds: 2, frames: 40, fps: 20, isDiscarded: true });
    expect(figures.discardedBecause).toContain('50 %');
  });
});
