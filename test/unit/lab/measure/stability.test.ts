import { describe, expect, it } from 'vitest';
import { isStable } from '../../../../src/lab/measure/trial.ts';

function windows(...figures: readonly (readonly [fps: number, p50: number])[]) {
  return figures.map(([fps, p50]) => ({ fps, latencyMs: { count: 10, p50, p95: p50, p99: p50, max: p50 } }));
}

describe('a run is stable', () => {
  it('when rate and latency of the last three windows are within 10 %', () => {
    expect(isStable(windows([100, 20], [105, 21], [110, 22]))).toBe(true);
    expect(isStable(windows([100, 20], [105, 21], [111, 22]))).toBe(false);
    expect(isStable(windows([100, 20], [105, 21], [110, 22.1]))).toBe(false);
  });

  it('by the last three windows only', () => {
    expect(isStable(windows([10, 90], [100, 20], [100, 20], [100, 20]))).toBe(true);
    expect(isStable(windows([100, 20], [100, 20], [100, 20], [120, 20]))).toBe(false);
  });

  it('not before there are three', () => {
    expect(isStable(windows([100, 20], [100, 20]))).toBe(false);
  });

  it('not without a frame', () => {
    const silent = { fps: 0, latencyMs: { count: 0, p50: 0, p95: 0, p99: 0, max: 0 } };
    expect(isStable([silent, silent, silent])).toBe(false);
  });

  it('although latencies below the resolution of timers differ by more', () => {
    expect(isStable(windows([100, 0.2], [100, 0.5], [100, 0.3]))).toBe(true);
  });
});
