import { describe, expect, it } from 'vitest';
import { StreamTargets } from '../../../../src/runtime/stream/stream-targets.ts';
import { NO_PERCENTILES } from '../../../../src/telemetry/sliding-window.ts';

/** Updates once a second, ten times. @param p99 - 0 if nothing was published. */
function watch(targets: StreamTargets, fps: number, p99: number, { isLive = true, fromS = 0, count = 10 } = {}) {
  const latency = p99 === 0 ? NO_PERCENTILES : { count: 500, p50: p99 / 3, p95: p99 / 2, p99, max: p99 * 2 };
  return Array.from({ length: count }, (_, i) =>
    targets.update('cam', fps, latency, isLive, (fromS + i) * 1000),
  ).flat();
}

describe('StreamTargets', () => {
  it('reports nothing without targets', () => {
    const targets = new StreamTargets({});
    expect(watch(targets, 0, 9999)).toEqual([]);
    expect(targets.isMissing).toEqual({ fps: false, latency: false });
  });

  it('reports a missed rate, with the measured and the target rate, and its recovery', () => {
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

  it('accepts a camera that runs 5 % slow', () => {
    expect(watch(new StreamTargets({ fps: 30 }), 28.5, 0)).toEqual([]);
    expect(watch(new StreamTargets({ fps: 30 }), 28.4, 0)).toHaveLength(1);
    // Of one frame a second the rate over five seconds is 4 or 5 frames.
    expect(watch(new StreamTargets({ fps: 1 }), 4 / 4.75, 0)).toEqual([]);
    expect(watch(new StreamTargets({ fps: 1 }), 3 / 4.75, 0)).toHaveLength(1);
  });

  it('checks latency by its 99th percentile, and only if there are samples', () => {
    expect(watch(new StreamTargets({ latencyMs: 50 }), 30, 51)[0]?.message).toBe(
      'cam misses its target: p99 51 ms, target 50 ms',
    );
    expect(watch(new StreamTargets({ latencyMs: 50 }), 30, 50)).toEqual([]);
    expect(watch(new StreamTargets({ latencyMs: 50 }), 30, 0)).toEqual([]);
  });

  it('does not check a paused stream, and restarts its timer after the pause', () => {
    const targets = new StreamTargets({ fps: 30 });
    expect(watch(targets, 0, 0, { isLive: false, count: 60 })).toEqual([]);
    expect(watch(targets, 1, 0, { fromS: 60, count: 4 })).toEqual([]);
    expect(watch(targets, 0, 0, { isLive: false, fromS: 64, count: 60 })).toEqual([]);
    expect(watch(targets, 1, 0, { fromS: 124, count: 5 })).toEqual([]);
    expect(watch(targets, 1, 0, { fromS: 129, count: 1 })).toHaveLength(1);
  });

  it('go on when other settings change, and a missed one is met again only after five seconds at its new figure', () => {
    const missed = new StreamTargets({ fps: 30, latencyMs: 50 });
    expect(watch(missed, 12, 80).map(({ kind }) => kind)).toEqual(['target-missed', 'target-missed']);
    const same = new StreamTargets({ fps: 30, latencyMs: 50 }, missed);
    expect(same.isMissing).toEqual({ fps: true, latency: true });
    expect(watch(same, 12, 80, { fromS: 10 }), 'it was reported before').toEqual([]);
    const relaxed = new StreamTargets({ fps: 10 }, same);
    expect(relaxed.isMissing).toEqual({ fps: true, latency: false });
    expect(watch(relaxed, 12, 80, { fromS: 20 }).map(({ kind, details }) => [kind, details.what])).toEqual([
      ['target-met', 'fps'],
    ]);
  });
});
