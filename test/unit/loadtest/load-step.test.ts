import { describe, expect, it } from 'vitest';
import type { CameraServerStats } from '../../../src/loadtest/cameras/camera-server.ts';
import { upperBounds } from '../../../src/loadtest/gateway-subject.ts';
import { jainIndex, LoadSpan, loadStep, type StepFacts } from '../../../src/loadtest/load-step.ts';
import type { LoadWindow, StreamCounts } from '../../../src/loadtest/load-subject.ts';
import { parseTargets } from '../../../src/measure/targets.ts';

function counts(id: string, published: number, dropped: Record<string, number> = {}): StreamCounts {
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  return { id, entered: published + lost, published, dropped, gap: 0 };
}

function stats(offered: Record<string, number>, lost = 0, cpuMs = 0): CameraServerStats {
  const cameras = Object.entries(offered).map(([id, count]) => ({
    ...{ id, offered: count, sent: count - lost, lost, unread: 0, readers: 1 },
  }));
  return { cameras, cpuMs, rssBytes: 0, lateMs: 0, encodeMs: null };
}

function facts(
  streams: readonly StreamCounts[],
  changes: Partial<StepFacts> = {},
  latencies: number[] = [],
): StepFacts {
  const span = new LoadSpan(streams.map(({ id }) => counts(id, 0)));
  const window: LoadWindow = { seconds: 10, streams, latenciesMs: latencies, machine: null };
  span.add(window);
  return {
    ...{ name: 'step', span, targets: [], constraints: [], cameras: null, cores: 2 },
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
    const before = [counts('a', 100, { stale: 5 })];
    const span = new LoadSpan(before);
    span.add({
      seconds: 10,
      streams: [counts('a', 300, { stale: 8, 'queue-full': 7 })],
      latenciesMs: [],
      machine: null,
    });
    const cameras = { before: stats({ 'cam-a': 1_000 }), after: stats({ 'cam-a': 1_250 }) };
    const step = loadStep({ ...facts([]), span, cameras });
    expect(step).toMatchObject({ frames: 200, fps: 20, offeredFps: 25, dropped: { stale: 3, 'queue-full': 7 } });
    expect(step.dropRatio).toBeCloseTo(10 / 210, 12);
    expect(step.shares).toEqual([{ id: 'a', offered: 250, published: 200, share: 0.8 }]);
  });

  it('frames that a camera could not hand over count as dropped', () => {
    const cameras = { before: stats({ 'cam-a': 0 }), after: stats({ 'cam-a': 100 }, 20) };
    const step = loadStep(facts([counts('a', 80)], { cameras, targets: parseTargets('drops<=1%') }));
    expect(step).toMatchObject({ lostAtCameras: 20, dropRatio: 0.2, verdict: 'missed' });
  });

  it('a target for the rate asks a slow camera for what it offers, and no more', () => {
    const cameras = { before: stats({ 'cam-a': 0, 'cam-b': 0 }), after: stats({ 'cam-a': 250, 'cam-b': 100 }) };
    const targets = parseTargets('fps>=20');
    const good = loadStep(facts([counts('a', 220), counts('b', 100)], { cameras, targets }));
    expect(good.verdict).toBe('met');
    const starved = loadStep(facts([counts('a', 220), counts('b', 60)], { cameras, targets }));
    expect(starved.verdict).toBe('missed');
  });

  it('settings that leave frames out lower what is offered', () => {
    const step = loadStep(facts([counts('a', 50)], { ratesOf: () => ({ cameraFps: 25, takenFps: 5 }) }));
    expect(step.shares[0]).toEqual({ id: 'a', offered: 50, published: 50, share: 1 });
  });

  it('a percentile needs enough frames: 459 without a miss for p99', () => {
    const targets = parseTargets('p99<=50ms');
    const verdict = (frames: number): string =>
      loadStep(facts([counts('a', frames)], { targets }, new Array(frames).fill(20))).verdict;
    expect(verdict(458)).toBe('not enough frames');
    expect(verdict(459)).toBe('met');
    const late = [...new Array(95).fill(20), 60, 60, 60, 60, 60];
    expect(loadStep(facts([counts('a', 100)], { targets }, late)).verdict).toBe('missed');
  });

  it('what the cameras use of the CPU is not taken for other processes', () => {
    const machine = {
      ...{ ownRatio: 0.5, otherRatio: 0.3, stealRatio: 0, throttledRatio: 0 },
      ...{ networkInBytesPerS: 0, networkOutBytesPerS: 0, memoryAvailableBytes: 0 },
    };
    const span = new LoadSpan([counts('a', 0)]);
    span.add({ seconds: 10, streams: [counts('a', 10)], latenciesMs: [], machine });
    // 4 s of 2 cores in 10 s: 0.2.
    const cameras = { before: stats({ 'cam-a': 0 }), after: stats({ 'cam-a': 10 }, 0, 4_000) };
    const step = loadStep({ ...facts([]), span, cameras });
    expect(step.machine?.otherRatio).toBeCloseTo(0.1, 12);
    expect(step.cameraCpuCores).toBeCloseTo(0.4, 12);
  });

  it('a long span keeps a bounded sample of its latencies, and the oldest', () => {
    const span = new LoadSpan([counts('a', 0)]);
    for (let i = 0; i < 100; i++) {
      const latenciesMs = Array.from({ length: 1_000 }, (_, k) => (i * 1_000 + k) % 100);
      span.add({
        seconds: 1,
        streams: [counts('a', 0)],
        latenciesMs: i === 50 ? [...latenciesMs, 999] : latenciesMs,
        machine: null,
      });
    }
    expect(span.latenciesMs.length).toBeLessThan(4_096);
    expect(span.latenciesMs.length).toBeGreaterThan(1_000);
    expect(span.oldestMs).toBe(999);
    const mean = span.latenciesMs.reduce((sum, ms) => sum + ms, 0) / span.latenciesMs.length;
    expect(mean).toBeGreaterThan(40);
    expect(mean).toBeLessThan(60);
  });
});

describe('latencies from percentiles', () => {
  it('are never below the true ones: of 1 to 200 ms, each value is bounded from above', () => {
    const truth = Array.from({ length: 200 }, (_, i) => i + 1);
    const bounds = upperBounds({ count: 200, p50: 100, p95: 190, p99: 198, max: 200 });
    expect(bounds).toHaveLength(200);
    for (const [i, ms] of truth.entries()) expect(bounds[i]).toBeGreaterThanOrEqual(ms);
  });

  it('of no frames are none', () => {
    expect(upperBounds({ count: 0, p50: 0, p95: 0, p99: 0, max: 0 })).toEqual([]);
  });
});
