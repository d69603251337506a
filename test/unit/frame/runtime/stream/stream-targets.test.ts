import { describe, expect, it } from 'vitest';
import {
  latencyMiss,
  type RateLimits,
  rateMiss,
  type StreamPace,
} from '../../../../../src/frame/runtime/stream/miss-reason.ts';
import { StreamTargets } from '../../../../../src/frame/runtime/stream/stream-targets.ts';
import { NO_PERCENTILES } from '../../../../../src/frame/telemetry/sliding-window.ts';

const ALL: RateLimits = { every: 1, decode: 'all' };

/** A distribution with this 99th percentile; 0 if nothing was published. */
function percentiles(p99: number) {
  return p99 === 0 ? NO_PERCENTILES : { count: 500, p50: p99 / 3, p95: p99 / 2, p99, max: p99 * 2 };
}

function paceOf(published: number, p99: number, change: Partial<StreamPace> = {}): StreamPace {
  const short = percentiles(1);
  return {
    fps: { in: published, published },
    droppedFps: {},
    latencyMs: percentiles(p99),
    stagesMs: { decode: short, preprocess: short, queue: short, infer: short, publish: short },
    stageWaits: null,
    isReconnecting: false,
    isHeldBack: false,
    busy: null,
    ...change,
  };
}

/** Updates once a second, ten times. @param p99 - 0 if nothing was published. */
function watch(targets: StreamTargets, fps: number, p99: number, { isLive = true, fromS = 0, count = 10 } = {}) {
  const pace = isLive ? paceOf(fps, p99) : null;
  return Array.from({ length: count }, (_, i) => targets.update('cam', pace, (fromS + i) * 1000)).flat();
}

const made = (target: { fps?: number; latencyMs?: number }, limits: Partial<RateLimits> = {}) =>
  new StreamTargets({ target, ...ALL, ...limits });

describe('StreamTargets', () => {
  it('reports nothing without targets', () => {
    const targets = made({});
    expect(watch(targets, 0, 9999)).toEqual([]);
    expect(targets.isMissing).toEqual({ fps: false, latency: false });
    expect(targets.missReasons).toEqual({ fps: null, latency: null });
  });

  it('reports a missed rate, with the measured and the target rate and the reason, and its recovery', () => {
    const targets = made({ fps: 30 });
    const reason = 'publishes 12.3 of 30 frames/s because the source sends 12.3 frames/s';
    expect(watch(targets, 12.34, 0)).toEqual([
      {
        kind: 'target-missed',
        message: `cam misses its target: ${reason}`,
        details: { what: 'fps', measured: 12.34, target: 30 },
        isOfHost: false,
      },
    ]);
    expect(targets.isMissing.fps).toBe(true);
    expect(targets.missReasons).toEqual({ fps: reason, latency: null });
    watch(targets, 30, 0, { fromS: 10, count: 6 });
    expect(targets.missReasons.fps).toBe('publishes 30.0 of 30 frames/s again, for less than 30 s');
    expect(watch(targets, 30, 0, { fromS: 16, count: 24 })).toEqual([]);
    const [met] = watch(targets, 30, 0, { fromS: 40 });
    expect(met).toMatchObject({ kind: 'target-met', message: 'cam meets its target again: 30.0 fps, target 30' });
    expect(targets.missReasons.fps).toBeNull();
  });

  it('gives the reason of the moment, not that of the first miss', () => {
    const targets = made({ fps: 25 }, { maxFps: 2 });
    watch(targets, 2, 0);
    expect(targets.missReasons.fps).toBe('publishes 2.0 of 25 frames/s because maxFps is 2');
    targets.update('cam', paceOf(0, 0, { isReconnecting: true }), 10_000);
    expect(targets.missReasons.fps).toBe('publishes 0.0 of 25 frames/s because the source is being opened again');
  });

  it('states one reason while another one is there for a moment, such as the age of frames that wait', () => {
    const targets = made({ fps: 25 });
    const drops = (reason: 'shed' | 'stale', busy: StreamPace['busy']) =>
      paceOf(10, 0, { fps: { in: 25, published: 10 }, droppedFps: { [reason]: 15 }, busy });
    const reasons: (string | null)[] = [];
    for (let second = 0; second < 30; second++) {
      // Every third second only frames that got too old are dropped, and nothing is busy.
      const isOdd = second % 3 === 0;
      targets.update(
        'cam',
        isOdd ? drops('stale', null) : drops('shed', { part: 'infer', ratio: 0.98 }),
        second * 1000,
      );
      reasons.push(targets.missReasons.fps?.replace(/:.*/, '') ?? null);
    }
    expect(new Set(reasons.slice(7))).toEqual(
      new Set(['publishes 10.0 of 25 frames/s because the detector cannot keep up']),
    );
    // It lasts.
    for (let second = 30; second < 36; second++) targets.update('cam', drops('stale', null), second * 1000);
    expect(targets.missReasons.fps).toContain('frames wait longer than maxAgeMs');
  });

  it('accepts a camera that runs 5 % slow', () => {
    expect(watch(made({ fps: 30 }), 28.5, 0)).toEqual([]);
    expect(watch(made({ fps: 30 }), 28.4, 0)).toHaveLength(1);
    // Of one frame a second the rate over five seconds is 4 or 5 frames.
    expect(watch(made({ fps: 1 }), 4 / 4.75, 0)).toEqual([]);
    expect(watch(made({ fps: 1 }), 3 / 4.75, 0)).toHaveLength(1);
  });

  it('checks latency by its 99th percentile, and only if there are samples', () => {
    expect(watch(made({ latencyMs: 50 }), 30, 51)[0]?.message).toMatch(
      /^cam misses its target: p99 51 ms, target 50 ms/,
    );
    expect(watch(made({ latencyMs: 50 }), 30, 50)).toEqual([]);
    expect(watch(made({ latencyMs: 50 }), 30, 0)).toEqual([]);
  });

  it('does not check a paused stream, and restarts its timer after the pause', () => {
    const targets = made({ fps: 30 });
    expect(watch(targets, 0, 0, { isLive: false, count: 60 })).toEqual([]);
    expect(watch(targets, 1, 0, { fromS: 60, count: 4 })).toEqual([]);
    expect(watch(targets, 0, 0, { isLive: false, fromS: 64, count: 60 })).toEqual([]);
    expect(watch(targets, 1, 0, { fromS: 124, count: 5 })).toEqual([]);
    expect(watch(targets, 1, 0, { fromS: 129, count: 1 })).toHaveLength(1);
  });

  it('go on when other settings change, and a missed one is met again only after five seconds at its new figure', () => {
    const missed = made({ fps: 30, latencyMs: 50 });
    expect(watch(missed, 12, 80).map(({ kind }) => kind)).toEqual(['target-missed', 'target-missed']);
    const same = new StreamTargets({ target: { fps: 30, latencyMs: 50 }, ...ALL }, missed);
    expect(same.isMissing).toEqual({ fps: true, latency: true });
    expect(watch(same, 12, 80, { fromS: 10 }), 'it was reported before').toEqual([]);
    const relaxed = new StreamTargets({ target: { fps: 10 }, ...ALL }, same);
    expect(relaxed.isMissing).toEqual({ fps: true, latency: false });
    expect(watch(relaxed, 12, 80, { fromS: 20 }).map(({ kind, details }) => [kind, details.what])).toEqual([
      ['target-met', 'fps'],
    ]);
  });
});

describe('the reason of a missed target', () => {
  /** @param published - frames/s, of a target of 25. */
  const reason = (published: number, change: Partial<StreamPace>, limits: Partial<RateLimits> = {}) =>
    rateMiss(25, 23.75, { ...ALL, ...limits }, paceOf(published, 0, change)).text.replace(/^.* because /, '');
  const infer = { part: 'infer', ratio: 0.984 } as const;

  it('is a limit in the settings only if that limit causes it', () => {
    expect(reason(2, {}, { maxFps: 2 })).toBe('maxFps is 2');
    expect(reason(10, {}, { maxFps: 30 })).toBe('the source sends 10.0 frames/s');
    expect(reason(5, {}, { every: 5 })).toBe('every is 5 and the source sends 25.0 frames/s');
    expect(reason(2, {}, { every: 5 })).toBe('the source sends 2.0 frames/s');
    // The detector manages 4 of the 10 frames that maxFps lets in.
    const few = { fps: { in: 10, published: 4 }, droppedFps: { 'queue-full': 6 } };
    expect(reason(4, few, { maxFps: 10 })).toBe('the detector cannot keep up: 6.0 frames/s are dropped');
  });

  it('names what drops most frames, and the busy stage', () => {
    const fps = { in: 25, published: 15 };
    expect(reason(15, { fps, droppedFps: { shed: 8, stale: 2 }, busy: infer })).toBe(
      'the detector cannot keep up: 10.0 frames/s are dropped (inference is 98 % busy)',
    );
    expect(reason(15, { fps, droppedFps: { stale: 10 } })).toBe(
      'frames wait longer than maxAgeMs: 10.0 frames/s are dropped',
    );
  });

  it('is the detector, not the age of frames, if these wait for it', () => {
    const fps = { in: 25, published: 15 };
    const detector = 'the detector cannot keep up: 10.0 frames/s are dropped';
    expect(reason(15, { fps, droppedFps: { shed: 2, stale: 8 } })).toBe(detector);
    expect(reason(15, { fps, droppedFps: { stale: 10 }, busy: infer })).toBe(`${detector} (inference is 98 % busy)`);
    expect(rateMiss(25, 23.75, ALL, paceOf(15, 0, { fps, droppedFps: { stale: 10 }, busy: infer })).isOfHost).toBe(
      true,
    );
    expect(rateMiss(25, 23.75, ALL, paceOf(15, 0)).isOfHost).toBe(false);
  });

  it('is the busy stage of the host if nothing is dropped, as for a file', () => {
    expect(reason(12, { isHeldBack: true, busy: infer })).toBe('the detector cannot keep up (inference is 98 % busy)');
    expect(reason(12, { busy: { part: 'decode', ratio: 0.91 } })).toBe('decoding is 91 % busy');
  });

  it('is the source of a slow camera, however busy a detector is that infers all of its frames', () => {
    expect(reason(12, { busy: infer })).toBe('the source sends 12.0 frames/s');
  });

  it('says so if the source sends nothing', () => {
    expect(reason(0, {})).toBe('no frames arrive from the source');
  });

  it('names the stage in which a late frame spent most time', () => {
    const queue = percentiles(310);
    const late = paceOf(25, 520);
    expect(latencyMiss(400, { ...late, stagesMs: { ...late.stagesMs, queue } }).text).toBe(
      'p99 520 ms, target 400 ms, most of it in queue (p99 310 ms)',
    );
    expect(latencyMiss(400, paceOf(25, 268)).text).toBe('p99 268 ms, target 400 ms, within it for less than 30 s');
  });

  it('names the second stage that results of a file wait for, if it takes most of the time', () => {
    const of = (publish: number, queue: number, whole: number, waits: Readonly<Record<string, number>>) => {
      const late = paceOf(25, 520);
      const stagesMs = { ...late.stagesMs, queue: percentiles(queue), publish: percentiles(publish) };
      const byStage = new Map(Object.entries(waits).map(([name, p99]) => [name, percentiles(p99)]));
      const pace = { ...late, stagesMs, stageWaits: { whole: percentiles(whole), byStage } };
      return {
        late: latencyMiss(400, pace),
        held: rateMiss(25, 24, ALL, { ...pace, fps: NINE, isHeldBack: true }).text,
      };
    };
    const NINE = { in: 9, published: 9 };
    const read = of(480, 20, 470, { plates: 150, plate: 310 });
    expect(read.late).toMatchObject({
      cause: 'second stage "plate"',
      text: 'p99 520 ms, target 400 ms, most of it in second stage "plate" (p99 310 ms)',
    });
    expect(read.held).toBe('publishes 9.0 of 25 frames/s because second stage "plate" cannot keep up (p99 310 ms)');
    // The detector is slower than that, or whatever else results wait for.
    expect(of(480, 320, 470, { plates: 150, plate: 310 }).late.cause).toBe('queue');
    expect(of(480, 320, 470, { plate: 310 }).held).toContain('because the detector cannot keep up');
    expect(of(480, 20, 120, { plate: 120 }).late.text).toContain('most of it in publish (p99 360 ms)');
    // Live frames wait for none.
    expect(of(480, 20, 0, {}).late.text).toContain('most of it in publish (p99 480 ms)');
  });
});
