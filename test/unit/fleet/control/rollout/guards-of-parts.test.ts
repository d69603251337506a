import { describe, expect, it } from 'vitest';
import type { Detection } from '../../../../../src/base/core/detection.ts';
import { guardsConfig } from '../../../../../src/fleet/control/rollout/guards/guards.ts';
import type { SideObservation, StreamFinding } from '../../../../../src/wire/protocol/rollout-records.ts';
import { type Behaviour, BLIND, GUARD_CAMERAS, GuardRig, on, WITHOUT_CARS } from '../../../../support/guard-rig.ts';

const EIGHT = Array.from({ length: 8 }, (_, i) => `camera-${i}`);
const TWO_HUNDRED = Array.from({ length: 200 }, (_, i) => `camera-${i}`);

describe('detections of single parts', () => {
  it('one blind camera of 200 is found within two minutes', () => {
    const rig = new GuardRig({ cameras: TWO_HUNDRED, fps: 5 }).warmUp();
    const seconds = rig.secondsUntilFailure(120, on('camera-77', BLIND));
    expect(seconds).not.toBeNull();
    expect(rig.failed?.leftMs, 'nothing is waited for').toBeNull();
    expect(rig.failed?.reason).toMatch(/^(For class "person" o|O)n stream "camera-77"|all beyond the margin/);
  });

  it('a lost class is found where one camera of eight shows it, and named', () => {
    const rig = new GuardRig({ cameras: EIGHT, withCars: ['camera-3'] }).warmUp();
    expect(rig.secondsUntilFailure(120, () => WITHOUT_CARS)).not.toBeNull();
    expect(rig.failed).toMatchObject({ guard: 'agreement', verdict: 'fail' });
    expect(rig.failed!.reason).toMatch(/"car"|"camera-3"/);
  });

  it('a class that is lost on one camera of eight that show it is found, and the camera is named', () => {
    const rig = new GuardRig({ cameras: EIGHT, withCars: EIGHT }).warmUp();
    expect(rig.secondsUntilFailure(120, on('camera-3', WITHOUT_CARS))).not.toBeNull();
    expect(rig.failed!.reason).toContain('stream "camera-3"');
  });

  it('a blind camera is found with the guard of agreement off too: boxes are missing', () => {
    const rig = new GuardRig({ guards: { agreement: { isOn: false } }, cameras: EIGHT }).warmUp();
    expect(rig.secondsUntilFailure(120, on('camera-3', BLIND))).not.toBeNull();
    expect(rig.failed).toMatchObject({ guard: 'boxes' });
  });

  it('a candidate that reports hardly anything because its threshold is too high is found, and a camera named', () => {
    // Objects have scores of 0.7, so it may publish none of them.
    const rig = new GuardRig({ guards: { boxes: { margin: 0.5 } }, cameras: EIGHT, candidateThreshold: 0.8 }).warmUp();
    expect(rig.secondsUntilFailure(120, on('camera-3', BLIND))).not.toBeNull();
    expect(rig.failed!.reason).toMatch(/stream "camera-\d"/);
  });

  it('a threshold that is a little higher on purpose does not count as missing boxes', () => {
    const rig = new GuardRig({ cameras: EIGHT, candidateThreshold: 0.4 }).warmUp().run(300);
    expect(rig.failed).toBeNull();
    expect(rig.report('boxes').verdict).toBe('pass');
  });

  it('a car that comes by every minute and is always missed keeps the step from passing, until it is certain', () => {
    const rig = new GuardRig({ guards: { agreement: { margin: 0.2 }, boxes: { margin: 0.3 } }, withCars: ['gate'] });
    rig.warmUp();
    let failedAt: number | null = null;
    const verdicts = new Set<string>();
    for (let second = 0; second < 3600 && failedAt === null; second++) {
      const isThere = second % 60 < 5;
      rig.run(1, () => WITHOUT_CARS, isThere ? undefined : () => WITHOUT_CARS);
      if (rig.failed !== null) failedAt = second;
      else if (second > 300) verdicts.add(rig.report('agreement').verdict);
    }
    expect(failedAt).not.toBeNull();
    expect([...verdicts], 'a suspicion holds the step').toEqual(['undecided']);
  });

  /** Everybody sees a plant, with this score. */
  const plantOf = (score: number): Behaviour => ({
    sees: (there) => [...there, { ...there[0]!, label: 'plant', score, box: [10, 10, 40, 40] }],
  });

  it('one object near the threshold that only one side reports, over and over, does not count as a lost class', () => {
    const rig = new GuardRig({ cameras: EIGHT, fps: 5 }).warmUp(120);
    rig.run(1200, on('camera-3', plantOf(0.26)), on('camera-3', plantOf(0.34)));
    expect(rig.failed).toBeNull();
    expect(rig.report('agreement').verdict).toBe('pass');
  });

  it('a dim camera is judged by its weak boxes: a candidate that lacks them is rolled back, and the camera named', () => {
    const dim = (label: string): Behaviour => ({
      sees: (there) => there.filter((one) => one.label !== label).map((one) => ({ ...one, score: 0.32 })),
    });
    const rig = new GuardRig({ cameras: EIGHT, fps: 5 }).warmUp();
    expect(rig.secondsUntilFailure(60, on('camera-3', dim('person')), on('camera-3', dim('none')))).not.toBeNull();
    expect(rig.failed!.reason).toContain('stream "camera-3"');
  });

  it.each(['only the control reports', 'only the candidate reports'])(
    'a class that %s for a moment holds the step, until it was not seen for half an hour',
    (who) => {
      const rig = new GuardRig({ fps: 25 }).warmUp().run(120);
      expect(rig.report('agreement').verdict).toBe('pass');
      const plant = on('gate', plantOf(0.6));
      if (who.includes('control')) rig.run(1, undefined, plant);
      else rig.run(1, plant);
      rig.run(20);
      expect(rig.report('agreement')).toMatchObject({ verdict: 'undecided' });
      expect(rig.report('agreement').reason).toContain('"plant"');
      rig.nowMs += 31 * 60_000;
      expect(rig.report('agreement').verdict).toBe('pass');
    },
  );

  describe('a camera', () => {
    /** Its control sees a person now and then. */
    const rarely = (camera: string, second: number): Behaviour =>
      camera === 'gate' && second % 60 >= 2 ? { sees: () => [] } : {};

    it('whose control has too few boxes to judge the candidate by holds the step, by its name', () => {
      const rig = new GuardRig({ fps: 5 }).warmUp();
      for (let second = 0; second < 200; second++)
        rig.run(
          1,
          (name) => rarely(name, second),
          (name) => rarely(name, second),
        );
      const { verdict, reason } = rig.report('agreement');
      expect(verdict).toBe('undecided');
      expect(reason).toMatch(/^On stream "gate" the control had boxes to compare in \d blocks? of 4 s only/);
      const withoutIt = rig.panel.reports(GUARD_CAMERAS.filter((name) => name !== 'gate'));
      expect(withoutIt.find(({ guard }) => guard === 'agreement')?.verdict, 'unless it was removed').toBe('pass');
      for (let second = 200; second < 500; second++)
        rig.run(
          1,
          (name) => rarely(name, second),
          (name) => rarely(name, second),
        );
      expect(rig.report('agreement').verdict).toBe('pass');
    });

    it('whose control never has boxes holds nothing, and one where the candidate invents some is found', () => {
      const empty = on('gate', { sees: () => [] });
      const rig = new GuardRig({ fps: 5 }).warmUp().run(200, empty, empty);
      expect(rig.report('agreement').verdict).toBe('pass');
      expect(rig.secondsUntilFailure(60, undefined, empty)).not.toBeNull();
      expect(rig.failed!.reason).toContain('stream "gate"');
    });
  });

  describe('with another detector', () => {
    const half: Behaviour = { sees: (there) => there.slice(1).map((one) => ({ ...one, label: 'man' })) };

    it('other boxes and classes are no harm, but a class that is gone everywhere waits for a person', () => {
      const rig = new GuardRig({ cameras: EIGHT, fps: 5, isOtherDetector: true, withCars: ['camera-3'] }).warmUp();
      rig.run(1500, () => half);
      expect(rig.failed).toBeNull();
      expect(rig.report('blind')).toMatchObject({ verdict: 'undecided' });
      expect(rig.report('blind').reason).toMatch(/^For class "(person|car)" .* a person decides/);
      expect(Object.keys(rig.verdicts())).not.toContain('agreement');
    });

    it('a camera on which it sees nothing is found', () => {
      const rig = new GuardRig({ cameras: EIGHT, fps: 5, isOtherDetector: true }).warmUp();
      expect(rig.secondsUntilFailure(600, on('camera-3', BLIND))).not.toBeNull();
      expect(rig.failed).toMatchObject({ guard: 'blind', reason: expect.stringContaining('stream "camera-3"') });
    });
  });

  describe('boxes are always watched:', () => {
    const noCars: Behaviour = { sees: (there) => there.filter(({ label }) => label !== 'car') };

    it('another detector without cars that the control is sure of is rolled back', () => {
      const rig = new GuardRig({ cameras: EIGHT, fps: 5, isOtherDetector: true, withCars: EIGHT }).warmUp();
      expect(rig.secondsUntilFailure(600, () => noCars)).not.toBeNull();
      expect(rig.failed).toMatchObject({
        guard: 'blind',
        reason: expect.stringMatching(
          /^For class "car" on all streams it has no box of any class for 100 % of the control's sure boxes/,
        ),
      });
    });

    it('one without cars that people have called wrong is not, but its persons are still watched', () => {
      const settled = ['car'];
      const options = { cameras: EIGHT, fps: 5, isOtherDetector: true, withCars: EIGHT, settled };
      const rig = new GuardRig(options).warmUp();
      rig.run(300, () => noCars);
      expect(rig.failed).toBeNull();
      const blind = new GuardRig(options).warmUp();
      expect(blind.secondsUntilFailure(600, () => BLIND)).not.toBeNull();
    });

    it('one that calls them trucks is not', () => {
      const trucks: Behaviour = {
        sees: (there) => there.map((one) => (one.label === 'car' ? { ...one, label: 'truck' } : one)),
      };
      const rig = new GuardRig({ cameras: EIGHT, fps: 5, isOtherDetector: true, withCars: EIGHT }).warmUp();
      rig.run(300, () => trucks);
      expect(rig.failed).toBeNull();
    });

    it('with agreement and boxes off too, and blind itself cannot be turned off', () => {
      const off = { agreement: { isOn: false }, boxes: { isOn: false } };
      const rig = new GuardRig({ cameras: EIGHT, fps: 5, guards: off, withCars: EIGHT }).warmUp();
      expect(rig.secondsUntilFailure(600, () => noCars)).not.toBeNull();
      expect(rig.failed?.guard).toBe('blind');
      expect(() => guardsConfig.parse({ blind: { isOn: false } })).toThrow(/boxes are never wholly unwatched/);
    });
  });

  it('small objects are named where it is they that are lost', () => {
    const [large, small] = [
      [100, 100, 60, 150],
      [400, 300, 20, 30],
    ] as const;
    const boxes = [large, small].map(([...box]) => ({ classId: 0, label: 'person', score: 0.8, box }) as Detection);
    const sees = (shown: readonly Detection[]): Behaviour => ({ sees: () => shown });
    const rig = new GuardRig({ fps: 5 }).warmUp(60, () => sees(boxes));
    expect(
      rig.secondsUntilFailure(
        600,
        () => sees(boxes.slice(0, 1)),
        () => sees(boxes),
      ),
    ).not.toBeNull();
    expect(rig.failed!.reason).toMatch(
      /Small objects \(below 32 x 32 pixels\) make the difference: one side lacks 100 % of them, and 0 %/,
    );
    const large0 = new GuardRig({ fps: 5 }).warmUp(60, () => sees(boxes));
    large0.secondsUntilFailure(
      600,
      () => sees(boxes.slice(1)),
      () => sees(boxes),
    );
    expect(large0.failed!.reason).not.toContain('Small objects');
  });

  it('a camera whose frames nobody compares keeps agreement from passing, and is named', () => {
    const rig = new GuardRig().warmUp().run(120);
    expect(rig.report('agreement').verdict).toBe('pass');
    for (let i = 0; i < 62; i++) {
      rig.panel.observe(rig.side('new', 'candidate'));
      rig.run(1);
    }
    expect(rig.report('agreement')).toMatchObject({ verdict: 'undecided' });
    expect(rig.report('agreement').reason).toContain('stream "new" no frame was inferred by both sides');
  });
});

describe('rate, drops and latency of a single camera', () => {
  it.each<[string, Behaviour, 'fps' | 'drops' | 'p99']>([
    ['half of its rate', { frames: 12 }, 'fps'],
    ['half of its frames dropped', { frames: 13, dropped: 12 }, 'drops'],
    ['three times the latency', { latencyFactor: 3 }, 'p99'],
    ['a stall of 400 ms in each frame', { stallMs: 400 }, 'p99'],
  ])('one of 60 with %s is found within five minutes', (_, behaviour, guard) => {
    const cameras = TWO_HUNDRED.slice(0, 60);
    const off = { p99: { isOn: false }, fps: { isOn: false }, drops: { isOn: false }, [guard]: {} };
    const rig = new GuardRig({ cameras, hasShadow: false, guards: off }).warmUp();
    expect(rig.secondsUntilFailure(300, on('camera-33', behaviour))).not.toBeNull();
    expect(rig.failed).toMatchObject({ guard, reason: expect.stringContaining('On stream "camera-33"') });
  });

  it('the report names each camera that is beyond the limit, and those of which too little is known', () => {
    const rig = new GuardRig({ hasShadow: false }).warmUp();
    const slow = on('yard', { latencyFactor: 3 });
    rig.run(1, slow);
    const verdicts = (guard: string) =>
      (rig.report(guard).streams ?? []).map(({ stream, verdict }) => `${stream} ${verdict}`);
    expect(verdicts('p99').sort()).toEqual(rig.cameras.map((camera) => `${camera} no-data`).sort());
    rig.run(300, slow);
    expect([verdicts('p99'), verdicts('fps')]).toEqual([['yard fail'], []]);
    const [{ reason, estimate }] = rig.report('p99').streams as [StreamFinding];
    expect(reason).toMatch(/^On stream "yard" .*; the limit is \d+ %\.$/);
    expect(estimate).toBeGreaterThan(0);
    // Cameras that are gone are not waited for; guards of the sum have none.
    expect(rig.panel.reports(['gate']).find(({ guard }) => guard === 'p99')?.streams).toEqual([]);
    expect(rig.report('confidence').streams).toBeUndefined();
  });

  it('the report names a camera that loses a class, once', () => {
    const rig = new GuardRig({ withCars: ['gate', 'yard'] }).warmUp();
    rig.run(200, on('gate', WITHOUT_CARS));
    const named = rig.report('agreement').streams?.map(({ stream }) => stream);
    expect(named).toEqual(['gate']);
  });

  it('bursts of a camera, the same on both sides, are no harm', () => {
    const rig = new GuardRig({ hasShadow: false }).warmUp();
    const bursts = (camera: string, second: number): Behaviour =>
      camera === 'gate' ? { frames: [5, 45, 10, 40, 25][second % 5]! } : {};
    rig.run(1800, bursts, bursts);
    expect(rig.failed).toBeNull();
  });

  it('a camera of a frame in five seconds is judged in longer blocks, and not by chance', () => {
    const slow = (_: string, second: number): Behaviour => ({ frames: second % 5 === 0 ? 1 : 0 });
    const rig = new GuardRig({ hasShadow: false, cameras: ['gate'] }).warmUp(120, () => ({ frames: 1 }));
    rig.run(3600, slow, slow);
    expect(rig.failed).toBeNull();
  });
});

describe('a version that takes other frames on purpose', () => {
  const everySecond = { ratio: 0.5, mostFps: null };
  const nineAtMost = { ratio: 1, mostFps: 9 };

  it.each<[string, NonNullable<SideObservation['pace']>, number]>([
    ['half of the frames', everySecond, 12],
    ['at most 9 frames/s', nineAtMost, 9],
  ])('passes with %s', (_, pace, frames) => {
    const rig = new GuardRig({ hasShadow: false, fps: 24, pace }).warmUp().run(900, () => ({ frames }));
    expect(rig.failed).toBeNull();
    expect(rig.report('fps').verdict).toBe('pass');
  });

  it.each<[string, NonNullable<SideObservation['pace']>, number]>([
    ['half of the frames, but attains a quarter', everySecond, 6],
    ['at most 9 frames/s, but attains 6', nineAtMost, 6],
  ])('fails with %s, also on one camera', (_, pace, frames) => {
    const rig = new GuardRig({ hasShadow: false, fps: 24, pace }).warmUp();
    const good = Math.min(24 * pace.ratio, pace.mostFps ?? 24);
    const only = (camera: string): Behaviour => ({ frames: camera === 'gate' ? frames : Math.floor(good) });
    expect(rig.secondsUntilFailure(300, only)).not.toBeNull();
    expect(rig.failed).toMatchObject({ guard: 'fps' });
  });
});

describe('a camera without frames', () => {
  const panelOf = (rig: GuardRig) => rig.panel;

  it('is waited for two minutes if no camera has a baseline', () => {
    const rig = new GuardRig();
    rig.panel.observe(rig.side('gate', 'control', { frames: 0 }));
    expect(panelOf(rig).withoutBaseline(['gate', 'yard'])).toEqual(['gate', 'yard']);
    rig.nowMs += 119_000;
    expect(panelOf(rig).withoutBaseline(['gate', 'yard'])).toEqual(['gate', 'yard']);
    rig.nowMs += 2_000;
    expect(panelOf(rig).withoutBaseline(['gate', 'yard'])).toEqual([]);
  });

  it('that stopped early is not waited for while others are ready', () => {
    const rig = new GuardRig();
    for (let i = 0; i < 60; i++) {
      for (const camera of GUARD_CAMERAS) {
        const isDead = camera === 'gate' && i > 0;
        rig.panel.observe(rig.side(camera, 'control', { frames: isDead ? 0 : 25 }));
      }
      rig.pass();
    }
    expect(panelOf(rig).withoutBaseline(GUARD_CAMERAS)).toEqual([]);
    expect(panelOf(rig).abandoned(GUARD_CAMERAS)).toEqual(['gate']);
  });

  it('that is slow is waited for, at most ten minutes, and the time left is known', () => {
    const rig = new GuardRig({ cameras: ['gate', 'yard'] });
    const at = (seconds: number): void => {
      for (let i = 0; i < seconds; i++) {
        rig.panel.observe(rig.side('gate', 'control'));
        rig.panel.observe(rig.side('yard', 'control', { frames: i % 20 === 0 ? 1 : 0 }));
        rig.pass();
      }
    };
    at(101);
    expect(panelOf(rig).withoutBaseline(['gate', 'yard'])).toEqual(['yard']);
    // 6 of 50 frames in 100 s.
    expect(panelOf(rig).readyInMs(['yard'])! / 1000).toBeCloseTo((44 / 6) * 100, -1);
    at(500);
    expect(panelOf(rig).withoutBaseline(['gate', 'yard'])).toEqual([]);
  });

  it('counts as silent too if everything is paused, so that nobody observes anything', () => {
    const rig = new GuardRig();
    expect(panelOf(rig).silent(GUARD_CAMERAS)).toEqual([]);
    rig.nowMs += 600_000;
    expect(panelOf(rig).silent(GUARD_CAMERAS)).toEqual(GUARD_CAMERAS);
  });

  it('counts as silent after ten minutes of a step', () => {
    const rig = new GuardRig().warmUp().run(599, on('gate', { frames: 0 }), on('gate', { frames: 0 }));
    expect(panelOf(rig).silent(GUARD_CAMERAS)).toEqual([]);
    rig.run(2, on('gate', { frames: 0 }), on('gate', { frames: 0 }));
    expect(panelOf(rig).silent(GUARD_CAMERAS)).toEqual(['gate']);
  });
});
