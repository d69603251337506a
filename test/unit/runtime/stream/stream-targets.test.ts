import { describe, expect, it } from 'vitest';
import { StreamTargets } from '../../../../src/runtime/stream/stream-targets.ts';
import { NO_PERCENTILES } from '../../../../src/telemetry/sliding-window.ts';

/** Ten looks, one a second. @param p99 - 0 where nothing was published. */
function watch(targets: StreamTargets, fps: number, p99: number, { isLive = true, fromS = 0, count = 10 } = {}) {
  const latency = p99 === 0 ? NO_PERCENTILES : { count: 500, p50: p99 / 3, p95: p99 / 2, p99, max: p99 * 2 };
  return Array.from({ length: count }, (_, i) =>
    targets.update('cam', fps, latency, isLive, (fromS + i) * 1000),
  ).flat();
}

describe('StreamTargets', () => {
  it('is content where nothing was asked for', () => {
    const targets = new StreamTargets({});
    expect(watch(targets, 0, 9999)).toEqual([]);
    expect(targets.isMissing).toEqual({ fps: false, latency: false });
  });

  it('tells of a rate that is missed, with what was measured and what was wanted, and of its return', () => {
    const targets = new StreamTargets({ fps: 30 });
    expect(watch(targets, 12.34, 0)).toEqual([
      {
        kind: 'target-missed',
        message: 'cam misses its target: 12.3 fps, target 30',
        details: { what: 'fps', measured: 12.34, target: 30 },
      },
    ]);
    expect(targets.isMissing.fps).toBe(true);
    expect(watch(targets, 30, 0, { fromS: 10 }).map(({ kind }) => kind)).toEqual(['target-met']);
  });

  it('takes a camera that runs 5 % slow for one that keeps its rate', () => {
    expect(watch(new StreamTargets({ fps: 30 }), 28.5, 0)).toEqual([]);
    expect(watch(new StreamTargets({ fps: 30 }), 28.4, 0)).toHaveLength(1);
  });

  it('judges latency by its 99th percentile, and not where there is none', () => {
    expect(watch(new StreamTargets({ latencyMs: 50 }), 30, 51)[0]?.message).toBe(
      'cam misses its target: p99 51 ms, target 50 ms',
    );
    expect(watch(new StreamTargets({ latencyMs: 50 }), 30, 50)).toEqual([]);
    expect(watch(new StreamTargets({ latencyMs: 50 }), 30, 0)).toEqual([]);
  });

  it('does not judge a paused stream, and after the pause begins to count anew', () => {
    const targets = new StreamTargets({ fps: 30 });
    expect(watch(targets, 0, 0, { isLive: false, count: 60 })).toEqual([]);
    expect(watch(targets, 1, 0, { fromS: 60, count: 4 })).toEqual([]);
    expect(watch(targets, 0, 0, { isLive: false, fromS: 64, count: 60 })).toEqual([]);
    expect(watch(targets, 1, 0, { fromS: 124, count: 5 })).toEqual([]);
    expect(watch(targets, 1, 0, { fromS: 129, count: 1 })).toHaveLength(1);
  });
});
