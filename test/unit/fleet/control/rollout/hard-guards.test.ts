import { describe, expect, it } from 'vitest';
import type { SideObservation } from '../../../../../src/wire/protocol/rollout-records.ts';
import { all, type Behaviour, GUARD_CAMERAS, GuardRig, on } from '../../../../support/guard-rig.ts';

const FPS = 25;
const HARD = ['errors', 'results', 'slow', 'target', 'crashes'];

describe('hard guards', () => {
  it('are silent about a good candidate', () => {
    const rig = new GuardRig({ target: { fps: 25, latencyMs: 200 } }).warmUp().run(60);
    expect(rig.verdicts('hard')).toEqual(all('pass', HARD));
  });

  it('fail within 10 s on errors, with figures', () => {
    const rig = new GuardRig().warmUp().run(9, () => ({ failed: 2, frames: 23 }));
    expect(rig.report('errors')).toMatchObject({
      verdict: 'fail',
      reason: expect.stringMatching(/^\d+ of \d+ inferences failed in the last 8 s \(8 %\); the limit is 5 %\.$/),
    });
  });

  it('fail within 10 s on latency above twice the target, but not where the control is as slow', () => {
    const slow = { latencyFactor: 3 };
    const rig = new GuardRig({ target: { fps: null, latencyMs: 60 } }).warmUp();
    expect(rig.run(12, () => slow).report('slow').verdict).toBe('fail');
    const slowMachine = new GuardRig({ target: { fps: null, latencyMs: 20 } }).warmUp().run(12);
    expect(slowMachine.report('slow')).toMatchObject({ verdict: 'pass' });
  });

  it('do not take one stall for slowness', () => {
    const rig = new GuardRig({ target: { fps: null, latencyMs: 100 } }).warmUp().run(6);
    rig.run(1, () => ({ stallMs: 900 })).run(1);
    expect(rig.report('slow').verdict).toBe('pass');
  });

  it('fail 5 s after the last result while frames arrive', () => {
    const hangs = { frames: 0, dropped: FPS };
    const rig = new GuardRig({ takesTurns: false }).warmUp().run(20);
    rig.run(3, () => hangs);
    expect(rig.report('results').verdict).toBe('pass');
    rig.run(3, () => hangs);
    expect(rig.report('results').verdict).toBe('fail');
  });

  it('do not count the turn of the control as silence of the candidate', () => {
    const rig = new GuardRig({ cameras: ['gate'] }).warmUp();
    const turn = (side: SideObservation['side'], secs: number, behaviour: Behaviour = {}): void => {
      for (let i = 0; i < secs; i++) {
        rig.panel.observe(rig.side('gate', side, behaviour));
        rig.pass();
      }
    };
    for (let i = 0; i < 5; i++) {
      turn('candidate', 6);
      turn('control', 6);
      expect(rig.report('results').verdict).not.toBe('fail');
    }
    const hangs = { frames: 0, dropped: FPS };
    turn('candidate', 3, hangs);
    expect(rig.report('results').verdict, 'a second or two into its turn').not.toBe('fail');
    turn('control', 6);
    turn('candidate', 4, hangs);
    expect(rig.report('results').verdict, 'silent for five seconds of its turns').toBe('fail');
  });

  it('do not blame the candidate for a camera that is gone', () => {
    const rig = new GuardRig({ cameras: ['gate'], takesTurns: false }).warmUp().run(60, () => ({ frames: 0 }));
    expect(rig.report('results').verdict).toBe('no-data');
  });

  it('fail at the third restart of the engine within 60 s, not at three in three minutes', () => {
    const verdictAt = (pauseMs: number): string => {
      const rig = new GuardRig();
      for (let i = 0; i < 3; i++) {
        rig.nowMs += pauseMs;
        rig.panel.observe({ restarts: 1 });
      }
      return rig.report('crashes').verdict;
    };
    expect(verdictAt(60_000)).toBe('pass');
    expect(verdictAt(10_000)).toBe('fail');
  });
});

describe('one camera', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => `camera-${i}`);

  it('whose inferences all fail fires "errors" within half a minute, and is named', () => {
    const rig = new GuardRig({ cameras: hundred, fps: 5, hasShadow: false }).warmUp(100);
    const seconds = rig.secondsUntilFailure(30, on('camera-42', { frames: 0, failed: 5 }));
    expect(seconds).not.toBeNull();
    expect(rig.report('errors').reason).toBe('100 % of the inferences of stream "camera-42" fail; the limit is 5 %.');
  });

  it('of which a fifth fails fires it within five minutes', () => {
    const rig = new GuardRig({ cameras: hundred, fps: 5, hasShadow: false }).warmUp(100);
    expect(rig.secondsUntilFailure(300, on('camera-42', { frames: 4, failed: 1 }))).not.toBeNull();
  });

  it('that fails now and then, below the limit, never fires it', () => {
    const rig = new GuardRig({ hasShadow: false }).warmUp();
    const rare = (_: string, second: number): Behaviour => (second % 3 === 0 ? { frames: 23, failed: 2 } : {});
    rig.run(1800, (camera, second) => (camera === 'gate' ? rare(camera, second) : {}));
    expect(rig.report('errors').verdict).toBe('pass');
  });

  it('that fails with the control as well is not the fault of the candidate', () => {
    const broken = on('gate', { frames: 20, failed: 5 });
    const rig = new GuardRig({ hasShadow: false }).warmUp(60, broken).run(600, broken, broken);
    expect(rig.report('errors').reason).not.toContain('stream "gate"');
  });

  it('without results although frames arrive fires "results" within a minute', () => {
    const rig = new GuardRig({ cameras: hundred, fps: 5, hasShadow: false }).warmUp(100);
    const seconds = rig.secondsUntilFailure(60, on('camera-42', { frames: 0, dropped: 5 }));
    expect(seconds).not.toBeNull();
    expect(rig.report('results').reason).toContain('Stream "camera-42" has had no result for');
  });
});

describe('a target', () => {
  const target = { fps: 3, latencyMs: 400 };
  /** 1.9 of 3 frames/s, and a latency of 1.4 s. */
  const slow = (_: string, second: number): Behaviour => ({
    ...(second % 10 === 0 ? { frames: 1, dropped: 2 } : { frames: 2, dropped: 1 }),
    stallMs: 1300,
  });

  it.each([['turns', true] as const, ['another input size, so without turns', false] as const])(
    'that the canary misses and its control meets ends it within a minute, with %s',
    (_, takesTurns) => {
      const rig = new GuardRig({ target, fps: 3, cameras: ['gate'], takesTurns }).warmUp();
      expect(rig.secondsUntilFailure(60, slow)).not.toBeNull();
    },
  );

  it('that the control often misses is not blamed on a candidate alone after a few calm seconds', () => {
    // Of the rig's latencies 8 % are above 60 ms.
    const rig = new GuardRig({ target: { fps: null, latencyMs: 60 }, cameras: ['gate'], takesTurns: false });
    const calm = { latencyFactor: 0.3 };
    rig.warmUp(300, (_, second) => (second >= 260 ? calm : {})).run(600);
    expect(rig.report('target').verdict).not.toBe('fail');
  });

  it('is found for one camera of eight while all others are slow meanwhile: the canary may be the cause', () => {
    const cameras = GUARD_CAMERAS.flatMap((name) => [name, `${name}-2`]);
    const rig = new GuardRig({ target, fps: 3, cameras, takesTurns: false }).warmUp();
    let failed: number | null = null;
    for (let i = 0; i < 60 && failed === null; i++) {
      rig.panel.observe(rig.side('gate', 'candidate', slow('gate', i)));
      for (const camera of cameras.slice(1)) rig.panel.observe(rig.side(camera, 'control', { stallMs: 1300 }));
      rig.pass();
      if (rig.failed !== null) failed = i;
    }
    expect(failed).not.toBeNull();
    expect(rig.report('target').reason).toMatch(
      /^Stream "gate" attains 1\.\d of 3 frames\/s and has 100 % of its frames later than 400 ms .*; its control meets the target\.$/,
    );
  });

  it('that is missed does not let a step pass before it is certain', () => {
    const rig = new GuardRig({ target, fps: 3, cameras: ['gate'], takesTurns: false }).warmUp().run(12, slow);
    expect(rig.report('target').verdict).toBe('undecided');
  });

  it('that the control misses as well, before and now, is not the fault of the candidate', () => {
    const behaviour = (_: string, second: number): Behaviour => slow('', second);
    for (const takesTurns of [true, false]) {
      const rig = new GuardRig({ target, fps: 3, cameras: ['gate'], takesTurns }).warmUp(60, () => slow('', 1));
      rig.run(1200, behaviour, behaviour);
      expect(rig.report('target').verdict).not.toBe('fail');
    }
  });

  it('that both sides miss since the step began ends it after five minutes', () => {
    const rig = new GuardRig({ target, fps: 3, cameras: ['gate'], hasShadow: false }).warmUp();
    rig.run(240, slow, slow);
    expect(rig.report('target').verdict).toBe('undecided');
    rig.run(120, slow, slow);
    expect(rig.report('target')).toMatchObject({ verdict: 'fail' });
    expect(rig.report('target').reason).toContain('the control met the target before the step');
  });

  it('is not missed by a stall of 20 s, nor by a camera that sends less', () => {
    const rig = new GuardRig({ target, fps: 3, cameras: ['gate'], takesTurns: false }).warmUp();
    rig.run(300, (_, second) => (second % 150 < 20 ? { stallMs: 1300 } : {}));
    expect(rig.report('target').verdict).not.toBe('fail');
    rig.run(300, () => ({ frames: 1 }));
    expect(rig.report('target').verdict).not.toBe('fail');
  });
});
