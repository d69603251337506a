import { describe, expect, it } from 'vitest';
import type { MonoMs } from '../../../../src/base/core/units.ts';
import { DEFAULT_LIMITS } from '../../../../src/frame/telemetry/interference.ts';
import { PartTimes } from '../../../../src/frame/telemetry/part-times.ts';
import type { RecordedFrame, RunWindow, StreamWindow } from '../../../../src/lab/measure/run-recorder.ts';
import { type DueTime, summariseWindows, windowFigures } from '../../../../src/lab/measure/summarise-windows.ts';
import { judgeTargets, parseTargets } from '../../../../src/lab/measure/targets.ts';
import type { GpuReport } from '../../../../src/wire/protocol/power-report.ts';
import { QUIET } from '../../../support/trial-figures.ts';

const captured: DueTime = ({ times }) => times.captured;

/** A frame that took 1 ms to each next time, and `latencyMs` altogether. */
function frame(streamId: string, publishedMs: number, latencyMs: number): RecordedFrame {
  const from = publishedMs - latencyMs;
  const at = (ms: number): MonoMs => (from + ms) as MonoMs;
  return {
    streamId,
    ptsUs: 0,
    passedUs: 40_000,
    times: {
      captured: at(0),
      decoded: at(1),
      preprocessed: at(2),
      batched: at(3),
      inferred: at(4),
      published: publishedMs as MonoMs,
    },
  };
}

function window(startMs: number, endMs: number, changes: Partial<RunWindow> = {}): RunWindow {
  return {
    startMs,
    endMs,
    frames: [],
    streams: [],
    gpus: [],
    residenceMs: 0,
    inFlight: 0,
    heldBackRatio: 0,
    busyRatio: { decode: 0, preprocess: 0, infer: 0, main: 0 },
    eventLoopP99Ms: 0,
    cpu: null,
    machine: QUIET,
    sums: new PartTimes().sums(),
    ...changes,
  };
}

/** `count` frames, evenly spread over a window of one second; they take 21 ms, or what `latencyMs` says. */
function frames(
  streamId: string,
  startMs: number,
  count: number,
  latencyMs: (i: number) => number = () => 21,
): RecordedFrame[] {
  return Array.from({ length: count }, (_, i) => frame(streamId, startMs + (i * 1000) / count, latencyMs(i)));
}

/** What happened to a stream's frames in a window. */
function stream(id: string, entered: number, changes: Partial<StreamWindow> = {}): StreamWindow {
  return { id, entered, published: 0, dropped: {}, decodeErrors: 0, reconnects: 0, gap: 0, ...changes };
}

/** Frames of several streams in the order in which they were published: in turn, where they are in step. */
function merged(...streams: readonly RecordedFrame[][]): RecordedFrame[] {
  return streams.flat().sort((a, b) => a.times.published - b.times.published);
}

describe('windows together', () => {
  // 20 frames/s of two streams, 20 ms from decoded to published: 0.4 frames in flight.
  const windows = [0, 5000].map((startMs) =>
    window(startMs, startMs + 1000, {
      frames: [...frames('a', startMs, 15), ...frames('b', startMs, 5)],
      streams: [stream('a', 17, { dropped: { stale: 2 } }), stream('b', 8, { dropped: { stale: 2, 'queue-full': 1 } })],
      residenceMs: 20 * 20 + 500,
      inFlight: 0.9,
    }),
  );
  const summary = summariseWindows(windows, ['a', 'b', 'silent'], captured);

  it('have the rate over the time measured, without the gaps between windows', () => {
    expect(summary.seconds).toBe(2);
    expect(summary.fps).toBeCloseTo(20, 12);
    expect(summary.streamFps).toEqual([15, 5, 0]);
    // Frames that are 40 ms of media time apart.
    expect(summary.perStream.map(({ mediaSpeed }) => Number(mediaSpeed.toFixed(9)))).toEqual([0.6, 0.2, 0]);
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

  it('count faults, and drops by reason, over all windows and streams', () => {
    const failed = new PartTimes();
    failed.addFailed(3);
    const bad = window(0, 1000, {
      streams: [stream('a', 90, { decodeErrors: 2, reconnects: 1 }), stream('b', 10, { dropped: { stale: 4 } })],
      sums: failed.sums(),
    });
    // 4 stale, and twice 4 with one of a full queue.
    expect(summariseWindows([bad, ...windows], ['a', 'b'], captured).faults).toEqual({
      frames: 150,
      decodeErrors: 2,
      failedInferences: 3,
      reconnects: 1,
      dropped: { stale: 12, 'queue-full': 2 },
    });
  });

  it('have the use of the GPUs and energy per frame only where the machine reports them', () => {
    expect(summary).not.toHaveProperty('gpus');
    expect(summary).not.toHaveProperty('energy');
    const gpu = (powerW: number | null): GpuReport => ({
      index: 0,
      name: 'A100',
      busyRatio: 0.5,
      memoryUsedBytes: 1e9,
      memoryTotalBytes: 8e10,
      powerW,
      decoderRatio: 0.1,
      temperatureC: 40,
    });
    const powered = windows.map((other) => ({ ...other, machine: { ...QUIET, cpuPowerW: 40 }, gpus: [gpu(100)] }));
    // 40 W and 100 W at 20 frames/s.
    expect(summariseWindows(powered, ['a', 'b'], captured).energy).toEqual({ cpuJoules: 2, gpuJoules: 5 });
    const silent = windows.map((other) => ({ ...other, gpus: [gpu(null)] }));
    const { energy, gpus } = summariseWindows(silent, ['a', 'b'], captured);
    expect(energy).toBeUndefined();
    expect(gpus).toEqual([gpu(null)]);
  });
});

describe('windows of many cameras with varying latency', () => {
  // Four cameras in step: every fourth frame belongs to the same one. Latencies rise and fall between 15 and 45 ms.
  const ids = ['a', 'b', 'c', 'd'];
  const varying = (i: number): number => 30 + 15 * Math.sin(i);
  const targets = parseTargets('p99<=50ms,p50<=40ms,fps>=100');
  const judged = (slow: (i: number) => number, camera: string) => {
    const windows = Array.from({ length: 20 }, (_, w) =>
      window(w * 1000, w * 1000 + 1000, {
        frames: merged(...ids.map((id) => frames(id, w * 1000, 125, id === camera ? slow : varying))),
      }),
    );
    const figures = summariseWindows(windows, ids, captured, targets);
    return { figures, verdicts: judgeTargets(targets, { ...figures, streams: ids.length }) };
  };

  it.each(ids)('camera %s at 200 ms misses p99 and is named, whichever of the four it is', (camera) => {
    const { figures, verdicts } = judged(() => 200, camera);
    expect(verdicts.map(({ state }) => state)).toEqual(['missed', 'missed', 'met']);
    expect(verdicts[0]).toMatchObject({ measured: 200, reason: `${camera}: 2500 of 2500 frames took longer` });
    expect(figures.perStream.map(({ latencyMs }) => latencyMs.p50 > 100)).toEqual(ids.map((id) => id === camera));
  });

  it('all frames are counted: 2 % of slow frames of one camera, half a per cent of all, are a miss', () => {
    const { figures, verdicts } = judged((i) => (i % 50 === 7 ? 80 : varying(i)), 'c');
    // i = 7, 57 and 107 of each second.
    const count = { metric: 'p99', limitMs: 50, over: 60, surelyOver: 60, measuredMs: 80 };
    expect(figures.perStream[2]!.counts[0]).toEqual(count);
    expect(verdicts[0]).toMatchObject({ state: 'missed', reason: 'c: 60 of 2500 frames took longer' });
  });

  it('all cameras within the limits meet them', () => {
    expect(judged(varying, 'a').verdicts.map(({ state }) => state)).toEqual(['met', 'met', 'met']);
  });

  it('a camera that published nothing is never met', () => {
    const windows = [window(0, 1000, { frames: ids.flatMap((id) => frames(id, 0, 1000, varying)) })];
    const figures = summariseWindows(windows, [...ids, 'dead'], captured, targets);
    const verdicts = judgeTargets(targets, { ...figures, streams: 5 });
    expect(verdicts.map(({ state }) => state)).toEqual(['not enough frames', 'not enough frames', 'missed']);
    for (const { reason } of verdicts) expect(reason).toContain('dead: ');
  });

  it('carry 2,000 quantiles of all frames, of which every camera has its share, the longest included', () => {
    const { latenciesMs, latencyMs } = judged(() => 200, 'b').figures;
    expect(latenciesMs).toHaveLength(2000);
    expect(latencyMs.count).toBe(10_000);
    expect(latenciesMs!.filter((ms) => ms >= 199)).toHaveLength(500);
    expect(latenciesMs!.at(-1)).toBe(latencyMs.max);
    expect([...latenciesMs!].sort((a, b) => a - b)).toEqual(latenciesMs);
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
