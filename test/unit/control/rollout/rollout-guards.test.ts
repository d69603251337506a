import { describe, expect, it } from 'vitest';
import { type GuardsConfig, guardsConfig } from '../../../../src/config/guards.ts';
import { isControlTurn } from '../../../../src/control/rollout/membership.ts';
import { type GuardOptions, RolloutGuards } from '../../../../src/control/rollout/rollout-guards.ts';
import type { Detection } from '../../../../src/core/detection.ts';
import { seededRandom } from '../../../../src/core/seeded-random.ts';
import type { GuardReport, SideObservation } from '../../../../src/protocol/rollout-records.ts';

const FPS = 25;
const CAMERAS = ['gate', 'yard', 'hall', 'dock'];
const WARM_UP_SECONDS = 90;

type Guards = Parameters<typeof guardsConfig.parse>[0];

/** A panel with a manual clock, and two sides that behave alike unless a test says otherwise. */
class Rig {
  nowMs = 1_700_000_000_000;
  readonly options: GuardOptions;
  panel: RolloutGuards;
  readonly #random = seededRandom(5);
  #frame = 0;

  constructor(guards: Guards = {}, options: Partial<GuardOptions> = {}) {
    this.options = {
      ...{ guards: guardsConfig.parse(guards) as GuardsConfig, scoreThreshold: 0.3, hasShadow: true },
      ...{ nowMs: () => this.nowMs, targetLatencyMs: () => null, ...options },
    };
    this.panel = new RolloutGuards(this.options);
  }

  /** One second of a side of a stream. Latencies are 20 to 120 ms, most of them short. */
  side(
    stream: string,
    side: SideObservation['side'],
    change: Partial<SideObservation> = {},
    factor = 1,
  ): SideObservation {
    const latenciesMs = Array.from({ length: FPS }, () => factor * 20 * (1 / (1 - 0.97 * this.#random())) ** 0.5);
    return {
      ...{ stream, side, frames: FPS, dropped: 0, failed: 0, latenciesMs, boxes: 3 * FPS, scoreSum: 2 * FPS },
      ...{ deviceMs: FPS * (8 + this.#random()), fpsAttained: FPS, seconds: 1, ...change },
    };
  }

  /** Objects that walk through the picture, so that no two frames show the same. */
  scene(frame = this.#frame): Detection[] {
    return [0, 1, 2].map((i) => ({
      ...{ classId: 0, label: 'person', score: 0.7 },
      box: [(frame * 9 + i * 300) % 1200, 100 + i * 50, 60, 150],
    }));
  }

  warmUp(seconds = WARM_UP_SECONDS): this {
    for (let i = 0; i < seconds; i++) {
      for (const camera of CAMERAS) this.panel.observe(this.side(camera, 'control'));
      this.nowMs += 1000;
    }
    return this;
  }

  /** Runs both sides beside each other. */
  shadow(
    seconds: number,
    candidate: (frame: number) => readonly Detection[] = (frame) => this.scene(frame),
    change: Partial<SideObservation> = {},
    factor = 1,
  ): this {
    for (let i = 0; i < seconds; i++) {
      for (const stream of CAMERAS) {
        this.panel.observe(this.side(stream, 'control'));
        this.panel.observe(this.side(stream, 'candidate', change, factor));
        for (let frame = this.#frame; frame < this.#frame + FPS; frame += 5)
          this.panel.observe({ stream, frame, control: this.scene(frame), candidate: candidate(frame) });
      }
      this.#frame += FPS;
      this.nowMs += 1000;
    }
    return this;
  }

  report(guard: string): GuardReport {
    const report = this.panel.reports().find((found) => found.guard === guard);
    if (report === undefined) throw new Error(`no guard ${guard}`);
    return report;
  }

  verdicts(kind: GuardReport['kind'] = 'statistical'): Record<string, string> {
    const reports = this.panel.reports().filter((report) => report.kind === kind);
    return Object.fromEntries(reports.map(({ guard, verdict }) => [guard, verdict]));
  }
}

function all(verdict: string, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, verdict]));
}

const STATISTICAL = ['agreement', 'p99', 'fps', 'drops', 'boxes', 'confidence', 'deviceTime'];
const HARD = ['errors', 'results', 'slow', 'crashes'];

describe('streams that take turns', () => {
  /** Each camera runs with the side whose turn it is; the first second after a change is not observed. */
  function run(rig: Rig, cameras: readonly string[], seconds: number, stallMs: (second: number) => number, factor = 1) {
    for (let i = 0; i < seconds; i++) {
      for (const camera of cameras) {
        const isControl = isControlTurn(camera, rig.nowMs);
        if (isControlTurn(camera, rig.nowMs - 1000) !== isControl) continue;
        const seen = rig.side(camera, isControl ? 'control' : 'candidate', {}, isControl ? 1 : factor);
        rig.panel.observe({ ...seen, latenciesMs: seen.latenciesMs.map((latency) => latency + stallMs(i)) });
      }
      rig.nowMs += 1000;
    }
  }
  /** The machine is slow for ten of every forty seconds; before the roll-out it was not. */
  const stalls = (second: number): number => (second % 40 < 10 ? 60 : 0);
  const guards = { p99: { margin: 0.3 } };

  it.each([['one camera', ['gate']] as const, ['four cameras', CAMERAS] as const])(
    'with %s a slow time of the machine hits both sides and is not held against the candidate',
    (_, cameras) => {
      const rig = new Rig(guards, { hasShadow: false }).warmUp();
      run(rig, cameras, 1500, stalls);
      const { fps, drops, deviceTime, p99 } = rig.verdicts();
      expect([fps, drops, deviceTime]).toEqual(['pass', 'pass', 'pass']);
      expect(p99).not.toBe('fail');
    },
  );

  it('a slow start of the control does not blunt the comparison of a later step', () => {
    const rig = new Rig(guards, { hasShadow: false });
    for (let i = 0; i < 30; i++) {
      for (const camera of CAMERAS) {
        const seen = rig.side(camera, 'control');
        rig.panel.observe({ ...seen, latenciesMs: seen.latenciesMs.map((latency) => latency + 2000) });
      }
      rig.nowMs += 1000;
    }
    rig.warmUp(60);
    rig.panel.reset();
    run(rig, CAMERAS, 600, () => 0);
    expect(rig.verdicts()).toMatchObject({ p99: 'pass', fps: 'pass', drops: 'pass', deviceTime: 'pass' });
  });

  it('a baseline of a bad minute just before the step is made anew when the control is far below it', () => {
    const rig = new Rig(guards, { hasShadow: false }).warmUp(60);
    for (let i = 0; i < 30; i++) {
      for (const camera of CAMERAS) {
        const seen = rig.side(camera, 'control');
        rig.panel.observe({ ...seen, latenciesMs: seen.latenciesMs.map((latency) => latency + 2000) });
      }
      rig.nowMs += 1000;
    }
    rig.panel.reset();
    run(rig, CAMERAS, 100, () => 0);
    expect(rig.verdicts().p99, 'above a tail of two seconds there is nothing to compare').toBe('undecided');
    run(rig, CAMERAS, 600, () => 0);
    expect(rig.verdicts()).toMatchObject({ p99: 'pass', fps: 'pass', drops: 'pass', deviceTime: 'pass' });
  });

  it('a candidate that is slower by half is found all the same', () => {
    const rig = new Rig(guards, { hasShadow: false }).warmUp();
    run(rig, CAMERAS, 1500, stalls, 1.8);
    expect(rig.verdicts().p99).toBe('fail');
  });
});

describe('without data', () => {
  it('no guard passes and none fails', () => {
    expect(new Rig().verdicts()).toEqual(all('no-data', STATISTICAL));
    expect(new Rig().verdicts('hard')).toEqual(all('no-data', HARD));
    expect(new Rig().warmUp().verdicts()).toEqual(all('no-data', STATISTICAL));
  });

  it('of the control, the candidate passes no guard that compares sides, however long it runs', () => {
    const rig = new Rig({}, { hasShadow: false });
    for (let i = 0; i < 300; i++) {
      for (const stream of CAMERAS) rig.panel.observe(rig.side(stream, 'candidate'));
      rig.nowMs += 1000;
    }
    expect(rig.verdicts()).toEqual(all('no-data', STATISTICAL.slice(1)));
  });

  it('on either side, an empty scene says nothing about detections', () => {
    const rig = new Rig();
    for (let i = 0; i < 100; i++) {
      rig.panel.observe({ stream: 'gate', frame: i, control: [], candidate: [] });
      rig.nowMs += 1000;
    }
    const { verdict, reason } = rig.report('agreement');
    expect({ verdict, reason }).toEqual({ verdict: 'no-data', reason: 'Neither side sees an object in 100 frames.' });
  });

  it('a few seconds are undecided', () => {
    const rig = new Rig().warmUp().shadow(10);
    expect(rig.verdicts()).toEqual(all('undecided', STATISTICAL));
    expect(rig.report('agreement').reason).toContain('10 blocks of time, of which 32 are needed');
  });
});

describe('an equal candidate', () => {
  it('passes every guard within four minutes, with intervals inside the margins', () => {
    const rig = new Rig().warmUp().shadow(240);
    expect(rig.verdicts()).toEqual(all('pass', STATISTICAL));
    const { low, high, estimate, margin, frames } = rig.report('deviceTime');
    expect(low!).toBeLessThan(estimate!);
    expect(high!).toBeGreaterThan(estimate!);
    expect(high!).toBeLessThanOrEqual(margin);
    expect(frames).toBe(240 * FPS * CAMERAS.length);
  });

  it('passes without shadow too: each stream is compared with itself before, whatever the cameras are like', () => {
    const rig = new Rig({}, { hasShadow: false });
    const scale = { gate: 1, yard: 5, hall: 0.5, dock: 2 } as Record<string, number>;
    for (let i = 0; i < 600; i++) {
      for (const stream of CAMERAS) {
        const isMoved = i >= 300 && stream !== 'dock';
        const change = { deviceMs: 200 * scale[stream]!, boxes: Math.round(40 * scale[stream]!) };
        rig.panel.observe(rig.side(stream, isMoved ? 'candidate' : 'control', change, scale[stream]));
      }
      rig.nowMs += 1000;
    }
    expect(rig.verdicts()).toEqual(all('pass', STATISTICAL.slice(1)));
  });
});

describe('a cheat fails', () => {
  it.each<[string, (frame: number) => readonly Detection[], string[]]>([
    ['that reports no boxes', () => [], ['agreement', 'boxes']],
    ['that repeats its first result', () => new Rig().scene(0), ['agreement']],
    [
      'that reports each box twice',
      (frame) => new Rig().scene(frame).flatMap((box) => [box, box]),
      ['agreement', 'boxes'],
    ],
    [
      'that is unsure of everything',
      (frame) => new Rig().scene(frame).map((box) => ({ ...box, score: 0.5 })),
      ['confidence'],
    ],
    [
      'that loses one object in ten',
      (frame) => new Rig().scene(frame).filter((_, i) => (frame / 5 + i) % 10 !== 0),
      ['agreement'],
    ],
  ])('%s', (_, candidate, guards) => {
    const rig = new Rig().warmUp().shadow(40, candidate);
    for (const guard of guards) expect(rig.report(guard).verdict, rig.report(guard).reason).toBe('fail');
  });

  it.each<[string, Partial<SideObservation>, number, string]>([
    ['whose 99th percentile doubles', {}, 2, 'p99'],
    ['that takes twice as much device time', { deviceMs: FPS * 17 }, 1, 'deviceTime'],
    ['that attains 5 % fewer frames', { fpsAttained: FPS * 0.95 }, 1, 'fps'],
    ['that drops one frame a second', { dropped: 1, frames: FPS - 1 }, 1, 'drops'],
  ])('%s', (_, change, factor, guard) => {
    const rig = new Rig().warmUp().shadow(120, undefined, change, factor);
    const { verdict, reason } = rig.report(guard);
    expect(verdict, reason).toBe('fail');
    expect(reason).toMatch(/^The .* differs by .* on \d+ frames, all beyond the margin of .*\.$/);
  });

  it('that only answers where nothing is to be seen: frames without boxes do not dilute those with', () => {
    const rig = new Rig();
    for (let frame = 0; frame < 4000; frame++) {
      const isEmpty = frame % 20 !== 0;
      rig.panel.observe({ stream: 'gate', frame, control: isEmpty ? [] : rig.scene(frame), candidate: [] });
      rig.nowMs += 20;
    }
    expect(rig.report('agreement').verdict).toBe('fail');
  });
});

describe('hard guards', () => {
  it('are silent about a good candidate', () => {
    const rig = new Rig({}, { targetLatencyMs: () => 100 }).warmUp().shadow(20);
    expect(rig.verdicts('hard')).toEqual(all('pass', HARD));
  });

  it('fail within 10 s on errors, with figures', () => {
    const rig = new Rig().warmUp().shadow(9, undefined, { failed: 2, frames: 23 });
    expect(rig.report('errors')).toMatchObject({
      verdict: 'fail',
      reason: '56 of 700 inferences failed in the last 8 s (8 %); the limit is 5 %.',
    });
  });

  it('fail within 10 s on latency above twice the target, but not where the control is as slow', () => {
    const options = { targetLatencyMs: () => 60 };
    expect(new Rig({}, options).warmUp().shadow(9, undefined, {}, 3).report('slow').verdict).toBe('fail');
    const slowMachine = new Rig({}, { targetLatencyMs: () => 20 }).warmUp().shadow(9);
    expect(slowMachine.report('slow')).toMatchObject({ verdict: 'pass' });
  });

  it('do not take one stall for slowness', () => {
    const rig = new Rig({}, { targetLatencyMs: () => 100 }).warmUp().shadow(6);
    const stall = { latenciesMs: new Array<number>(FPS).fill(900) };
    rig.shadow(1, undefined, stall).shadow(1);
    expect(rig.report('slow').verdict).toBe('pass');
  });

  it('fail 5 s after the last result while frames arrive', () => {
    const rig = new Rig().warmUp().shadow(20);
    rig.shadow(3, () => [], { frames: 0, dropped: FPS, latenciesMs: [] });
    expect(rig.report('results').verdict).toBe('pass');
    rig.shadow(3, () => [], { frames: 0, dropped: FPS, latenciesMs: [] });
    expect(rig.report('results').verdict).toBe('fail');
  });

  it('do not count the turn of the control as silence of the candidate', () => {
    const rig = new Rig().warmUp();
    const turn = (side: SideObservation['side'], secs: number, change: Partial<SideObservation> = {}): void => {
      for (let i = 0; i < secs; i++) {
        rig.panel.observe(rig.side('gate', side, change));
        rig.nowMs += 1000;
      }
    };
    for (let i = 0; i < 5; i++) {
      turn('candidate', 6);
      turn('control', 6);
      expect(rig.report('results').verdict).not.toBe('fail');
    }
    const hangs = { frames: 0, dropped: FPS, latenciesMs: [] };
    turn('candidate', 3, hangs);
    expect(rig.report('results').verdict, 'a second or two into its turn').not.toBe('fail');
    turn('control', 6);
    turn('candidate', 4, hangs);
    expect(rig.report('results').verdict, 'silent for five seconds of its turns').toBe('fail');
  });

  it('do not blame the candidate for a camera that is gone', () => {
    const rig = new Rig({}, { hasShadow: false }).warmUp();
    for (let i = 0; i < 60; i++) {
      rig.panel.observe(rig.side('gate', 'candidate', { frames: 0, latenciesMs: [], fpsAttained: 0 }));
      rig.panel.observe(rig.side('dock', 'control'));
      rig.nowMs += 1000;
    }
    expect(rig.report('results').verdict).toBe('no-data');
  });

  it('fail at the third restart of the engine within 60 s, not at three in three minutes', () => {
    const slowly = new Rig();
    const fast = new Rig();
    for (const [rig, pauseMs] of [
      [slowly, 60_000],
      [fast, 10_000],
    ] as const)
      for (let i = 0; i < 3; i++) {
        rig.nowMs += pauseMs;
        rig.panel.observe({ restarts: 1 });
      }
    expect(slowly.report('crashes').verdict).toBe('pass');
    expect(fast.report('crashes')).toMatchObject({ verdict: 'fail', estimate: 3 });
  });
});

describe('the panel', () => {
  it('comes back from its JSON as it was, and goes on alike', () => {
    const rig = new Rig().warmUp().shadow(50);
    const copy = RolloutGuards.restore(rig.options, JSON.parse(JSON.stringify(rig.panel.snapshot())));
    expect(copy.reports()).toEqual(rig.panel.reports());
    const observation = rig.side('gate', 'candidate');
    for (const panel of [copy, rig.panel]) {
      panel.observe(observation);
      panel.observe({ restarts: 1 });
      panel.observe({ stream: 'gate', frame: 1, control: rig.scene(1), candidate: [] });
    }
    rig.nowMs += 3000;
    expect(copy.reports()).toEqual(rig.panel.reports());
    expect(copy.snapshot()).toEqual(rig.panel.snapshot());
  });

  it('comes back from its JSON before it has seen anything, and while it learns a stream', () => {
    for (const seconds of [0, 3]) {
      const rig = new Rig().warmUp(seconds);
      const copy = RolloutGuards.restore(rig.options, JSON.parse(JSON.stringify(rig.panel.snapshot())));
      expect(copy.snapshot()).toEqual(rig.panel.snapshot());
    }
  });

  it('refuses what is no snapshot', () => {
    const rig = new Rig();
    expect(() => RolloutGuards.restore(rig.options, { format: 2 })).toThrow(
      expect.objectContaining({ code: 'PROTOCOL_INVALID' }),
    );
  });

  it('forgets the candidate at a new step, and keeps the control', () => {
    const rig = new Rig().warmUp().shadow(60, () => []);
    expect(rig.report('agreement').verdict).toBe('fail');
    rig.panel.reset();
    expect(rig.verdicts()).toEqual(all('no-data', STATISTICAL));
    rig.shadow(240);
    expect(rig.verdicts()).toEqual(all('pass', STATISTICAL));
  });

  it('has no report for a guard that is off, nor for agreement without shadow frames', () => {
    const off = new Rig({ p99: { isOn: false }, hard: { isOn: false } }, { hasShadow: false });
    expect(off.panel.reports().map(({ guard }) => guard)).toEqual([
      'fps',
      'drops',
      'boxes',
      'confidence',
      'deviceTime',
    ]);
  });

  it('takes less than 1 MB of JSON for 12 streams after an hour', () => {
    const rig = new Rig();
    for (let i = 0; i < 3600; i++) {
      for (let stream = 0; stream < 12; stream++) rig.panel.observe(rig.side(`camera-${stream}`, 'control'));
      rig.nowMs += 1000;
    }
    expect(JSON.stringify(rig.panel.snapshot()).length).toBeLessThan(1_000_000);
  });
});
