import { describe, expect, it } from 'vitest';
import type { FrameTimes } from '../../../../src/base/core/frame.ts';
import type { MonoMs } from '../../../../src/base/core/units.ts';
import { conservationGap, StreamTelemetry } from '../../../../src/frame/telemetry/stream-telemetry.ts';
import { LATENCY_EDGES_MS } from '../../../../src/wire/protocol/latency.ts';

function times(capturedMs: number, steps: readonly number[]): FrameTimes {
  let at = capturedMs;
  const [decoded, preprocessed, batched, inferred, published] = steps.map((step) => {
    at += step;
    return at as MonoMs;
  });
  return {
    captured: capturedMs as MonoMs,
    decoded: decoded!,
    preprocessed: preprocessed!,
    batched: batched!,
    inferred: inferred!,
    published: published!,
  };
}

describe('StreamTelemetry', () => {
  it('splits the latency of a frame into its stages', () => {
    const telemetry = new StreamTelemetry(0);
    telemetry.onPublished(times(1000, [1, 2, 4, 8, 16]));
    const stages = telemetry.stagesMs(1031);
    expect(Object.fromEntries(Object.entries(stages).map(([stage, { max }]) => [stage, max]))).toEqual({
      decode: 1,
      preprocess: 2,
      queue: 4,
      infer: 8,
      publish: 16,
    });
    const { window, total } = telemetry.latencyMs(1031);
    expect(window).toEqual({ count: 1, p50: 31, p95: 31, p99: 31, max: 31 });
    expect(total.count).toBe(1);
    expect(Math.abs(total.p50 - 31)).toBeLessThan(0.5);
  });

  it('counts latencies by their length since the start, what was late, and the time in each stage', () => {
    const telemetry = new StreamTelemetry(0);
    for (const publish of [9, 10, 10.1, 70_000])
      telemetry.onPublished(times(0, [0, 0, 1, 2, publish - 3]), 'tracked', 10);
    // Edges are the last of their bucket; the clocks of two threads may differ by a little.
    telemetry.onPublished(times(0, [-0.1, 0.1, 0, 0, 0]));
    const { counted } = telemetry.latencyMs(60_000);
    const filled = counted.counts.flatMap((count, i) => (count > 0 ? [[LATENCY_EDGES_MS[i], count]] : []));
    expect(filled).toEqual([
      [1, 1],
      [10, 2],
      [12, 1],
      [undefined, 1],
    ]);
    expect(counted.sumMs).toBeCloseTo(70_029.1, 6);
    expect(counted.late).toBe(2);
    expect(counted.stageSumsMs).toMatchObject({ decode: 0, queue: 4, infer: 8 });
  });

  it('counts in buckets that are the same on every host, ascending, and close to each other', () => {
    const ratios = LATENCY_EDGES_MS.slice(1, 40).map((edge, i) => edge / LATENCY_EDGES_MS[i]!);
    expect(Math.min(...ratios)).toBeGreaterThan(1.1);
    expect(Math.max(...ratios)).toBeLessThan(1.34);
    expect([LATENCY_EDGES_MS[0], LATENCY_EDGES_MS.at(-1)]).toEqual([1, 60_000]);
  });

  it('says how many frames a second are dropped now, and forgets old drops', () => {
    const telemetry = new StreamTelemetry(0);
    telemetry.onDropped('shed', 500);
    expect(telemetry.droppedFps(0)).toEqual({});
    for (let s = 1; s <= 10; s++) {
      telemetry.onDropped('stale', 4);
      telemetry.droppedFps(s * 1000);
    }
    expect(telemetry.droppedFps(10_000)).toEqual({ stale: 4 });
    for (let s = 11; s <= 20; s++) telemetry.droppedFps(s * 1000);
    expect(telemetry.droppedFps(20_000)).toEqual({});
  });

  it('keeps the figures since the start after the window has moved on', () => {
    const telemetry = new StreamTelemetry(0);
    for (let i = 0; i < 100; i++) telemetry.onPublished(times(i * 10, [0, 0, 0, 0, i + 1]));
    const { window, total } = telemetry.latencyMs(60_000);
    expect(window.count).toBe(0);
    expect(total.count).toBe(100);
    // The histogram keeps two significant figures: 99 of the numbers 1 to 100, to within one per cent.
    expect(Math.abs(total.p99 - 99)).toBeLessThanOrEqual(1);
  });

  it('accepts a frame that took longer than a minute', () => {
    const telemetry = new StreamTelemetry(0);
    telemetry.onPublished(times(0, [0, 0, 0, 0, 600_000]));
    expect(telemetry.latencyMs(600_000).window.max).toBe(600_000);
    expect(telemetry.latencyMs(600_000).total.count).toBe(1);
  });

  it('counts drops by reason and returns copies', () => {
    const telemetry = new StreamTelemetry(0);
    for (let i = 0; i < 6; i++) telemetry.onIn(i);
    telemetry.onDropped('stale');
    telemetry.onDropped('lane-failed', 3);
    const frames = telemetry.frames(2);
    expect(frames).toEqual({ in: 6, published: 0, inFlight: 2, dropped: { stale: 1, 'lane-failed': 3 } });
    telemetry.onDropped('stale');
    expect(frames.dropped.stale).toBe(1);
  });
});

describe('conservationGap', () => {
  it.each([
    [{ in: 0, published: 0, inFlight: 0, dropped: {} }, 0],
    [{ in: 10, published: 4, inFlight: 1, dropped: { stale: 2, stopped: 3 } }, 0],
    [{ in: 10, published: 4, inFlight: 1, dropped: { stale: 2 } }, 3],
    [{ in: 10, published: 10, inFlight: 1, dropped: {} }, -1],
  ] as const)('of %o is %i', (frames, gap) => {
    expect(conservationGap(frames)).toBe(gap);
  });
});
