import { describe, expect, it } from 'vitest';
import type { CameraServerStats } from '../../../../src/lab/loadtest/cameras/camera-server.ts';
import { latencyBounds } from '../../../../src/lab/loadtest/gateway-subject.ts';
import type { LoadStep } from '../../../../src/lab/loadtest/load-result.ts';
import { plannedLooks } from '../../../../src/lab/loadtest/load-rig.ts';
import { jainIndex, LoadSpan, loadStep, type StepFacts } from '../../../../src/lab/loadtest/load-step.ts';
import type { LoadWindow } from '../../../../src/lab/loadtest/load-subject.ts';
import { type StreamWindow, streamSince } from '../../../../src/lab/measure/run-recorder.ts';
import { parseTargets } from '../../../../src/lab/measure/targets.ts';
import { PARTS } from '../../../../src/lab/measure/trial-result.ts';
import { QUIET, trialResult } from '../../../support/trial-figures.ts';

/** Counts of a stream since it was added. */
function counts(
  id: string,
  published: number,
  dropped: Record<string, number> = {},
  changes: Partial<StreamWindow> = {},
): StreamWindow {
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  return { id, entered: published + lost, published, dropped, decodeErrors: 0, reconnects: 0, gap: 0, ...changes };
}

function stats(offered: Record<string, number>, lost = 0, cpuMs = 0): CameraServerStats {
  const cameras = Object.entries(offered).map(([id, count]) => ({
    id,
    offered: count,
    sent: count - lost,
    lost,
    unread: 0,
    readers: 1,
  }));
  return { cameras, cpuMs, rssBytes: 0, lateMs: 0, encodeMs: null };
}

/** @param streams - their counts at its end. */
function window(
  streams: readonly StreamWindow[],
  latencies: Readonly<Record<string, readonly number[]>> = {},
  changes: Partial<LoadWindow> = {},
): LoadWindow {
  const bounds = Object.entries(latencies).map(
    ([id, own]) => [id, own.map((ms) => ({ mostMs: ms, leastMs: ms }))] as const,
  );
  return {
    seconds: 10,
    streams,
    latencies: new Map(bounds),
    failedInferences: 0,
    stagesMs: null,
    machine: null,
    gpus: [],
    ...changes,
  };
}

/** A span over these windows, of streams that began with nothing. */
function spanOf(targets: string, ...windows: readonly LoadWindow[]): LoadSpan {
  const ids = [...new Set(windows.flatMap(({ streams }) => streams.map(({ id }) => id)))];
  return spanFrom(
    ids.map((id) => counts(id, 0)),
    targets,
    windows,
  );
}

/** @param before - counts at its start. */
function spanFrom(before: readonly StreamWindow[], targets: string, windows: readonly LoadWindow[]): LoadSpan {
  const span = new LoadSpan(before, targets === '' ? [] : parseTargets(targets));
  const last = new Map(before.map((stream) => [stream.id, stream]));
  for (const each of windows) {
    span.add({ ...each, streams: each.streams.map((stream) => streamSince(last.get(stream.id), stream)) });
    for (const stream of each.streams) last.set(stream.id, stream);
  }
  return span;
}

function facts(span: LoadSpan, changes: Partial<StepFacts> = {}): StepFacts {
  return {
    name: 'step',
    span,
    constraints: [],
    cameras: null,
    cores: 2,
    cameraOf: (id) => `cam-${id}`,
    ratesOf: () => ({ cameraFps: 25, takenFps: 25 }),
    ...changes,
  };
}

describe("Jain's fairness index", () => {
  it('is 1 for equal shares, 1/n if one gets all, and 25/27 for 1, 2, 2', () => {
    expect(jainIndex([0.4, 0.4, 0.4])).toBeCloseTo(1, 12);
    expect(jainIndex([1, 0, 0, 0])).toBe(0.25);
    expect(jainIndex([1, 2, 2])).toBeCloseTo(25 / 27, 12);
    expect(jainIndex([])).toBe(1);
  });
});

describe('a step of a load test', () => {
  it('counts what was offered, published and dropped in the span, by reason', () => {
    const after = window([counts('a', 300, { stale: 8, 'queue-full': 7 })]);
    const span = spanFrom([counts('a', 100, { stale: 5 })], '', [after]);
    const cameras = { before: stats({ 'cam-a': 1_000 }), after: stats({ 'cam-a': 1_250 }) };
    const step = loadStep(facts(span, { cameras }));
    expect(step).toMatchObject({ frames: 200, fps: 20, offeredFps: 25, dropped: { stale: 3, 'queue-full': 7 } });
    expect(step.dropRatio).toBeCloseTo(10 / 210, 12);
    expect(step.shares).toMatchObject([{ id: 'a', offered: 250, published: 200, share: 0.8, dropped: 10 }]);
  });

  it('frames that a camera could not hand over count as dropped', () => {
    const cameras = { before: stats({ 'cam-a': 0 }), after: stats({ 'cam-a': 100 }, 20) };
    const step = loadStep(facts(spanOf('drops<=1%', window([counts('a', 80)])), { cameras }));
    expect(step).toMatchObject({ lostAtCameras: 20, dropRatio: 0.2, verdict: 'missed' });
  });

  it('one camera of twenty that loses its frames misses the target for drops, though all together keep it', () => {
    const streams = Array.from({ length: 20 }, (_, i) => counts(`c${i}`, 1000, i === 11 ? { 'queue-full': 150 } : {}));
    const step = loadStep(facts(spanOf('drops<=1%', window(streams))));
    expect(step.dropRatio).toBeLessThan(0.01);
    expect(step).toMatchObject({ verdict: 'missed', targets: [{ reason: expect.stringContaining('c11: 13.0 %') }] });
  });

  it('a target for the rate asks a slow camera for what it offers, and no more', () => {
    const cameras = { before: stats({ 'cam-a': 0, 'cam-b': 0 }), after: stats({ 'cam-a': 250, 'cam-b': 100 }) };
    const step = (b: number) =>
      loadStep(facts(spanOf('fps>=20', window([counts('a', 220), counts('b', b)])), { cameras }));
    expect(step(100).verdict).toBe('met');
    expect(step(98).verdict).toBe('met');
    expect(step(60)).toMatchObject({
      verdict: 'missed',
      targets: [{ reason: 'b: published 6.0 frames/s of 10.0 offered' }],
    });
    expect(step(0).verdict).toBe('missed');
  });

  it('a camera that offered nothing is not judged, so that nothing is met', () => {
    const cameras = { before: stats({ 'cam-a': 0, 'cam-b': 0 }), after: stats({ 'cam-a': 250, 'cam-b': 0 }) };
    const span = spanOf('fps>=20', window([counts('a', 250), counts('b', 0)]));
    expect(loadStep(facts(span, { cameras })).verdict).toBe('not enough frames');
  });

  it('settings that leave frames out lower what is offered', () => {
    const span = spanOf('', window([counts('a', 50)]));
    const step = loadStep(facts(span, { ratesOf: () => ({ cameraFps: 25, takenFps: 5 }) }));
    expect(step.shares[0]).toMatchObject({ id: 'a', offered: 50, published: 50, share: 1 });
  });

  it('a percentile needs enough frames: 459 without a miss for p99', () => {
    const verdict = (frames: number): string =>
      loadStep(facts(spanOf('p99<=50ms', window([counts('a', frames)], { a: new Array(frames).fill(20) })))).verdict;
    expect(verdict(458)).toBe('not enough frames');
    expect(verdict(459)).toBe('met');
  });

  it('what the cameras use of the CPU is not taken for other processes', () => {
    const machine = { ...QUIET, ownRatio: 0.5, otherRatio: 0.3 };
    const span = spanOf('', window([counts('a', 10)], {}, { machine }));
    // 4 s of 2 cores in 10 s: 0.2.
    const cameras = { before: stats({ 'cam-a': 0 }), after: stats({ 'cam-a': 10 }, 0, 4_000) };
    const step = loadStep(facts(span, { cameras }));
    expect(step.machine?.otherRatio).toBeCloseTo(0.1, 12);
    expect(step.cameraCpuCores).toBeCloseTo(0.4, 12);
  });
});

describe('a span of many cameras with varying latency, over many windows', () => {
  const ids = ['a', 'b', 'c', 'd'];
  const varying = (i: number): number => 30 + 15 * Math.sin(i);
  /** 100 windows of 25 frames of each camera. */
  const stepWith = (camera: string, slow: (i: number) => number, targets = 'p99<=50ms,p50<=40ms'): LoadStep => {
    const windows = Array.from({ length: 100 }, (_, w) =>
      window(
        ids.map((id) => counts(id, (w + 1) * 25)),
        Object.fromEntries(
          ids.map((id) => [id, Array.from({ length: 25 }, (_, k) => (id === camera ? slow : varying)(w * 25 + k))]),
        ),
        { seconds: 1 },
      ),
    );
    return loadStep(facts(spanOf(targets, ...windows)));
  };

  it('all within the limits meet them', () => {
    expect(stepWith('a', varying).verdict).toBe('met');
  });

  it.each(ids)('camera %s at 200 ms misses p99 and is named, whichever of the four it is', (camera) => {
    const { verdict, targets, shares } = stepWith(camera, () => 200);
    expect(verdict).toBe('missed');
    expect(targets[0]).toMatchObject({ measured: 200, reason: `${camera}: 2500 of 2500 frames took longer` });
    expect(shares.map(({ latencyMs }) => latencyMs.p50 > 100)).toEqual(ids.map((id) => id === camera));
  });

  it('every frame is counted: 51 slow ones of one camera are a miss, though they are half a per cent of all', () => {
    // i = 17, 66, ...: at all places of a window.
    const { targets } = stepWith('d', (i) => (i % 49 === 17 ? 80 : varying(i)), 'p99<=50ms');
    expect(targets[0]).toMatchObject({ state: 'missed', reason: 'd: 51 of 2500 frames took longer' });
  });

  it('percentiles are right to within 1 %, and the oldest frame is exact', () => {
    const { latencyMs, oldestMs } = stepWith('b', (i) => (i === 1234 ? 999 : varying(i)));
    const truth = Array.from({ length: 2500 }, (_, i) => varying(i)).sort((a, b) => a - b);
    expect(latencyMs.count).toBe(10_000);
    expect(Math.abs(latencyMs.p50 / truth[1249]! - 1)).toBeLessThan(0.01);
    expect(Math.abs(latencyMs.p99 / truth[2474]! - 1)).toBeLessThan(0.01);
    expect({ oldestMs, max: latencyMs.max }).toEqual({ oldestMs: 999, max: 999 });
  });

  it('a stream that disappears from its host stays in the verdict', () => {
    const both = window([counts('a', 250), counts('b', 250)], {
      a: new Array(250).fill(20),
      b: new Array(250).fill(20),
    });
    const alone = window([counts('a', 500)], { a: new Array(250).fill(20) });
    const step = loadStep(facts(spanOf('fps>=20,p99<=50ms', both, alone, alone)));
    expect(step.cameras).toBe(2);
    expect(step.targets[0]).toMatchObject({ state: 'missed', reason: expect.stringMatching(/^b: /) });
    expect(step.targets[1]!.state).toBe('not enough frames');
  });

  it('a stream that was added to its host again keeps what it had counted', () => {
    const span = spanOf(
      '',
      window([counts('a', 100, { stale: 10 }, { decodeErrors: 3, reconnects: 1 })]),
      window([counts('a', 20, { stale: 2 }, { decodeErrors: 1 })]),
      window([counts('a', 200, { stale: 4 }, { decodeErrors: 1 })]),
    );
    const step = loadStep(facts(span));
    expect(step).toMatchObject({ frames: 300, dropped: { stale: 14 } });
    expect(step.faults).toEqual({
      frames: 314,
      decodeErrors: 4,
      failedInferences: 0,
      reconnects: 1,
      dropped: { stale: 14 },
    });
  });

  it('failed inferences are those that the host counts; from outside those that were dropped', () => {
    const dropped = { 'engine-failed': 4 };
    const seen = loadStep(facts(spanOf('', window([counts('a', 90, dropped)], {}, { failedInferences: 7 }))));
    expect(seen.faults.failedInferences).toBe(7);
    const outside = loadStep(facts(spanOf('', window([counts('a', 90, dropped)], {}, { failedInferences: null }))));
    expect(outside.faults.failedInferences).toBe(4);
  });

  it('shows the stages of the live run, weighed by frames, and energy only where it was measured', () => {
    const stages = (wait: number) => ({ ...trialResult().stagesMs, wait });
    const busy = { ...QUIET, cpuPowerW: 50 };
    const one = window([counts('a', 30)], { a: new Array(30).fill(20) }, { stagesMs: stages(10), machine: busy });
    const two = window([counts('a', 100)], { a: new Array(70).fill(20) }, { stagesMs: stages(20), machine: busy });
    const step = loadStep(facts(spanOf('', one, two)));
    expect(step.stagesMs!.wait).toBeCloseTo(17, 9);
    expect(Object.keys(step.stagesMs!).sort()).toEqual([...PARTS].sort());
    // 50 W at 100 frames in 20 s.
    expect(step.energy).toEqual({ cpuJoules: 10 });
    expect(step).not.toHaveProperty('gpus');
    expect(loadStep(facts(spanOf('', window([counts('a', 30)]))))).not.toHaveProperty('energy');
  });
});

describe('looks at a span', () => {
  it('are fixed before it begins, each twice as long as the last', () => {
    expect(plannedLooks(12, 48)).toEqual([12, 24, 48]);
    expect(plannedLooks(12, 47)).toEqual([12, 24]);
    expect(plannedLooks(12, 12)).toEqual([12]);
  });

  it('share the risk: with three of them a percentile needs more frames', () => {
    // 0.99^n <= 0.01 / 3 from n = 568 on.
    const verdict = (frames: number, looks: number): string => {
      const span = spanOf('p99<=50ms', window([counts('a', frames)], { a: new Array(frames).fill(20) }));
      return loadStep(facts(span, { looks })).verdict;
    };
    expect([verdict(459, 1), verdict(459, 3), verdict(567, 3), verdict(568, 3)]).toEqual([
      ...['met', 'not enough frames', 'not enough frames', 'met'],
    ]);
  });
});

describe('latencies from percentiles', () => {
  it('are bounds of the true ones: of 1 to 200 ms, each value lies between its two', () => {
    const truth = Array.from({ length: 200 }, (_, i) => i + 1);
    const bounds = latencyBounds({ count: 200, p50: 100, p95: 190, p99: 198, max: 200 });
    expect(bounds).toHaveLength(200);
    for (const [i, ms] of truth.entries()) {
      expect(bounds[i]!.mostMs).toBeGreaterThanOrEqual(ms);
      expect(bounds[i]!.leastMs).toBeLessThanOrEqual(ms);
    }
  });

  it('of few frames, and of none', () => {
    expect(latencyBounds({ count: 0, p50: 0, p95: 0, p99: 0, max: 0 })).toEqual([]);
    expect(latencyBounds({ count: 1, p50: 7, p95: 7, p99: 7, max: 7 })).toEqual([{ mostMs: 7, leastMs: 7 }]);
    for (const { mostMs, leastMs } of latencyBounds({ count: 3, p50: 2, p95: 9, p99: 9, max: 9 }))
      expect(leastMs).toBeLessThanOrEqual(mostMs);
  });
});
