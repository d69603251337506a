import { describe, expect, it } from 'vitest';
import type { Detection } from '../../../../../src/base/core/detection.ts';
import { RolloutGuards } from '../../../../../src/fleet/control/rollout/rollout-guards.ts';
import { all, type Behaviour, GUARD_CAMERAS, GuardRig } from '../../../../support/guard-rig.ts';

const FPS = 25;
const STATISTICAL = ['agreement', 'p99', 'fps', 'drops', 'boxes', 'confidence', 'deviceTime'];
const HARD = ['errors', 'results', 'slow', 'target', 'crashes'];
/** The machine is slow for ten of every forty seconds; before the roll-out it was not. */
const stalls = (_: string, second: number): Behaviour => ({ stallMs: second % 40 < 10 ? 60 : 0 });

describe('without data', () => {
  it('no guard passes and none fails', () => {
    expect(new GuardRig().verdicts()).toEqual(all('no-data', STATISTICAL));
    expect(new GuardRig().verdicts('hard')).toEqual(all('no-data', HARD));
    expect(new GuardRig().warmUp().verdicts()).toEqual(all('no-data', STATISTICAL));
  });

  it('of the control in the same step, no guard that compares sides passes, however long the candidate runs', () => {
    const rig = new GuardRig({ hasShadow: false, takesTurns: false }).warmUp().run(600);
    expect(rig.verdicts()).toEqual(all('no-data', STATISTICAL.slice(1)));
  });

  it('on either side, an empty scene says nothing about detections', () => {
    const rig = new GuardRig().warmUp().run(
      100,
      () => ({ sees: () => [] }),
      () => ({ sees: () => [] }),
    );
    const { verdict, reason } = rig.report('agreement');
    expect({ verdict, reason }).toEqual({ verdict: 'no-data', reason: 'Neither side sees an object in 2000 frames.' });
  });

  it('a few seconds are undecided, and the report says how long it will take', () => {
    const rig = new GuardRig().warmUp().run(16);
    const { verdict, reason, leftMs } = rig.report('agreement');
    expect(verdict).toBe('undecided');
    expect(reason).toContain('16 blocks of time, of which 32 are needed');
    expect(leftMs, 'as long again').toBe(16_000);
  });
});

describe('an equal candidate', () => {
  it('passes every guard within six minutes, with intervals inside the margins', () => {
    const rig = new GuardRig().warmUp().run(360);
    expect(rig.verdicts()).toEqual(all('pass', STATISTICAL));
    const { low, high, estimate, margin } = rig.report('deviceTime');
    expect(low!).toBeLessThan(estimate!);
    expect(high!).toBeGreaterThan(estimate!);
    expect(high!).toBeLessThanOrEqual(margin);
  });

  it.each([['one camera', ['gate']] as const, ['four cameras', GUARD_CAMERAS] as const])(
    'with %s is not blamed for a slow time of the machine, which hits both sides',
    (_, cameras) => {
      const rig = new GuardRig({ guards: { p99: { margin: 0.3 } }, hasShadow: false, cameras }).warmUp();
      rig.run(1500, stalls, stalls);
      const { fps, drops, deviceTime, p99 } = rig.verdicts();
      expect([fps, drops, deviceTime]).toEqual(['pass', 'pass', 'pass']);
      expect(p99).not.toBe('fail');
    },
  );

  it.each([
    ['ten seconds, and looked at once', 10],
    ['an hour', 3600],
    ['two hours', 7200],
  ])('is not rolled back in a step of %s', (_, seconds) => {
    const rig = new GuardRig({ cameras: ['gate', 'yard'], fps: 10 }).warmUp().run(seconds);
    expect(rig.failed).toBeNull();
    const open = rig.panel.reports().filter(({ kind, verdict }) => kind === 'statistical' && verdict !== 'pass');
    if (seconds > 60) expect(open.map(({ reason }) => reason)).toEqual([]);
  });

  it('keeps what was compared in turns when they end', () => {
    const rig = new GuardRig({ hasShadow: false }).warmUp().run(360);
    const before = rig.verdicts();
    for (let i = 0; i < 1200; i++) {
      for (const camera of GUARD_CAMERAS) rig.panel.observe(rig.side(camera, 'candidate'));
      rig.pass();
    }
    expect(rig.verdicts()).toEqual(before);
  });

  it('is not hurt by a slow start of the control', () => {
    const rig = new GuardRig({ guards: { p99: { margin: 0.3 } }, hasShadow: false });
    for (let i = 0; i < 30; i++) {
      for (const camera of GUARD_CAMERAS) rig.panel.observe(rig.side(camera, 'control', { stallMs: 2000 }));
      rig.pass();
    }
    rig.warmUp(60).run(600);
    expect(rig.verdicts()).toMatchObject({ p99: 'pass', fps: 'pass', drops: 'pass', deviceTime: 'pass' });
  });

  it('gets a new baseline if the control is far below that of a bad minute just before the step', () => {
    const rig = new GuardRig({ guards: { p99: { margin: 0.3 } }, hasShadow: false });
    rig.warmUp(60, () => ({ stallMs: 2000 })).run(60);
    expect(rig.verdicts().p99, 'above a tail of two seconds there is nothing to compare').toBe('undecided');
    rig.run(600);
    expect(rig.verdicts()).toMatchObject({ p99: 'pass', fps: 'pass', drops: 'pass', deviceTime: 'pass' });
  });
});

describe('a bad candidate fails', () => {
  it.each<[string, Behaviour['sees'] & object, string[]]>([
    ['that reports no boxes', () => [], ['agreement', 'boxes']],
    ['that repeats its first result', () => new GuardRig().scene('gate', 0), ['agreement']],
    ['that reports each box twice', (there) => there.flatMap((box) => [box, box]), ['agreement', 'boxes']],
    ['that is unsure of everything', (there) => there.map((box) => ({ ...box, score: 0.5 })), ['confidence']],
    ['that loses one object in six', (there) => there.filter(({ box }) => box[0] % 100 >= 16), ['agreement']],
  ])('%s', (_, sees, guards) => {
    const rig = new GuardRig().warmUp().run(240, () => ({ sees }));
    for (const guard of guards) expect(rig.report(guard).verdict, rig.report(guard).reason).toBe('fail');
  });

  it.each<[string, Behaviour, string]>([
    ['whose 99th percentile doubles', { latencyFactor: 2 }, 'p99'],
    ['that takes two and a half times as much device time', { deviceMs: FPS * 21 }, 'deviceTime'],
    ['that attains 4 % fewer frames', { frames: FPS - 1 }, 'fps'],
    ['that drops one frame a second', { dropped: 1, frames: FPS - 1 }, 'drops'],
  ])('%s', (_, behaviour, guard) => {
    const rig = new GuardRig().warmUp().run(300, () => behaviour);
    const { verdict, reason } = rig.report(guard);
    expect(verdict, reason).toBe('fail');
  });

  it('that is slower by half, also while the machine has slow times', () => {
    const rig = new GuardRig({ guards: { p99: { margin: 0.3 } }, hasShadow: false }).warmUp();
    // Which half of a period is the control's is chance, so slow times meet one side more often than the other.
    rig.run(1500, (camera, second) => ({ ...stalls(camera, second), latencyFactor: 2 }), stalls);
    expect(rig.verdicts().p99).toBe('fail');
  });

  it('in the second hour of a step: what was good before does not hide it for long', () => {
    const rig = new GuardRig({ cameras: ['gate'], fps: 5 }).warmUp(120).run(3600);
    expect(rig.failed).toBeNull();
    const seconds = rig.secondsUntilFailure(600, () => ({ sees: () => [] }));
    expect(seconds, 'a camera that goes blind').not.toBeNull();
    expect(seconds!).toBeLessThan(240);
  });

  it('that only answers where nothing is to be seen: frames without boxes do not dilute those with', () => {
    const rig = new GuardRig();
    for (let frame = 0; frame < 4000; frame++) {
      const control: Detection[] = frame % 20 === 0 ? rig.scene('gate', frame) : [];
      rig.panel.observe({ stream: 'gate', frame, control, candidate: [] });
      rig.nowMs += 20;
    }
    expect(rig.report('agreement').verdict).toBe('fail');
  });
});

describe('the panel', () => {
  it('is read back from its JSON as it was, and continues identically', () => {
    const rig = new GuardRig({ target: { fps: 25, latencyMs: 100 } }).warmUp().run(50);
    const copy = RolloutGuards.restore(rig.options, JSON.parse(JSON.stringify(rig.panel.snapshot())));
    expect(copy.reports()).toEqual(rig.panel.reports());
    const observation = rig.side('gate', 'candidate');
    for (const panel of [copy, rig.panel]) {
      panel.observe(observation);
      panel.observe({ restarts: 1 });
      panel.observe({ stream: 'gate', frame: 1, control: rig.scene('gate', 1), candidate: [] });
    }
    rig.nowMs += 3000;
    expect(copy.reports()).toEqual(rig.panel.reports());
    expect(copy.snapshot()).toEqual(rig.panel.snapshot());
  });

  it('comes back from its JSON before it has seen anything, and while it learns a stream', () => {
    for (const seconds of [0, 3]) {
      const rig = new GuardRig().warmUp(seconds);
      const copy = RolloutGuards.restore(rig.options, JSON.parse(JSON.stringify(rig.panel.snapshot())));
      expect(copy.snapshot()).toEqual(rig.panel.snapshot());
    }
  });

  it('refuses data that is not a snapshot', () => {
    const rig = new GuardRig();
    expect(() => RolloutGuards.restore(rig.options, { format: 1 })).toThrow(
      expect.objectContaining({ code: 'PROTOCOL_INVALID' }),
    );
  });

  it('refuses evidence without a sum or a baseline that its guards need: half of it would be wrong', () => {
    const rig = new GuardRig().warmUp().run(60);
    const saved = (): ReturnType<typeof rig.panel.snapshot> => JSON.parse(JSON.stringify(rig.panel.snapshot()));
    expect(() => RolloutGuards.restore(rig.options, saved())).not.toThrow();
    const without = [saved(), saved(), saved()] as const;
    delete (without[0].shadowParts.parts[0]!.sums as Partial<Record<string, number>>).sureLost;
    delete (without[1].streamParts[0]!.calm.candidate as Partial<Record<string, number>>).tail;
    delete (without[2].sides.streams[0]!.baseline!.usual as Partial<Record<string, number>>).fps;
    for (const snapshot of without)
      expect(() => RolloutGuards.restore(rig.options, snapshot)).toThrow(
        expect.objectContaining({ code: 'PROTOCOL_INVALID' }),
      );
  });

  it('forgets the candidate at a new step', () => {
    const rig = new GuardRig().warmUp().run(60, () => ({ latencyFactor: 3 }));
    rig.panel.reset(false);
    expect(rig.verdicts()).toEqual(all('no-data', STATISTICAL));
    rig.run(360);
    expect(rig.verdicts()).toEqual(all('pass', STATISTICAL));
  });

  it('has no report for a guard that is off, nor for agreement without shadow frames', () => {
    const off = new GuardRig({ guards: { p99: { isOn: false }, hard: { isOn: false } }, hasShadow: false });
    const names = ['fps', 'drops', 'boxes', 'confidence', 'deviceTime'];
    expect(off.panel.reports().map(({ guard }) => guard)).toEqual(names);
  });

  it('stays bounded with 100 cameras of eight classes each after an hour: 10 kB of JSON a camera', () => {
    const cameras = Array.from({ length: 100 }, (_, i) => `camera-${i}`);
    const rig = new GuardRig({ cameras, fps: 5 });
    const classes = Array.from({ length: 8 }, (_, i) => `class ${i}`);
    const sizeAfter = (minutes: number): number => {
      for (let i = 0; i < minutes * 2; i++) {
        for (const stream of cameras) {
          const control = classes.map((label, x) => ({ ...rig.scene(stream, x)[0]!, label }));
          rig.panel.observe({ stream, frame: i, control, candidate: control });
          rig.panel.observe(rig.side(stream, i % 2 === 0 ? 'control' : 'candidate'));
        }
        rig.nowMs += 30_000;
      }
      return JSON.stringify(rig.panel.snapshot()).length;
    };
    const early = sizeAfter(10);
    const late = sizeAfter(30);

    expect(late / cameras.length).toBeLessThan(10_000);
    expect(late).toBeLessThan(early * 1.5);
  });
});
