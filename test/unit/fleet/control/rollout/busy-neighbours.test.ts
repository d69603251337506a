import { describe, expect, it } from 'vitest';
import { isControlTurn } from '../../../../../src/fleet/control/rollout/membership.ts';
import { type Behaviour, GUARD_CAMERAS, GuardRig, on } from '../../../../support/guard-rig.ts';

const FPS = 4;
const CAMERAS = GUARD_CAMERAS.slice(0, 2);
const TARGET = { fps: FPS, latencyMs: 300 };
const CALM: Behaviour = { othersRatio: 0.03 };
/** Others take half of the CPU: both sides lose a quarter of the frames and are late. */
const BUSY: Behaviour = { othersRatio: 0.5, frames: FPS - 1, dropped: 1, stallMs: 400 };
const nowAndThen = (_: string, second: number): Behaviour => (second % 60 < 20 ? BUSY : CALM);
const always = (): Behaviour => BUSY;

function rig(options: ConstructorParameters<typeof GuardRig>[0] = {}): GuardRig {
  const guards = { p99: { margin: 0.5 } };
  return new GuardRig({ guards, cameras: CAMERAS, fps: FPS, isOwnRate: true, target: TARGET, ...options });
}
const rates = (from: GuardRig): string[] => ['fps', 'drops'].map((guard) => from.report(guard).verdict);
const failed = (from: GuardRig): string | null => from.failed?.reason ?? null;

describe('beside a process that is busy now and then', () => {
  it('an equal candidate passes the guards of rates within ten minutes, by the time without it', () => {
    const equal = rig().warmUp(60, nowAndThen).run(600, nowAndThen, nowAndThen);
    expect(failed(equal)).toBeNull();
    expect(rates(equal)).toEqual(['pass', 'pass']);
  });

  it('what is left is told by how fast the time without it has come', () => {
    // Five sixths of the time do not count, so what is missing takes six times as long.
    const mostly = (_: string, second: number): Behaviour => (second % 60 < 50 ? BUSY : CALM);
    const early = rig({ guards: { p99: { margin: 0.1 } } })
      .warmUp(60, mostly)
      .run(180, mostly, mostly);
    const { verdict, leftMs, reason } = early.report('p99');
    expect(verdict, reason).toBe('undecided');
    const [, blocks, needed] = /in (\d+) blocks of time, of which (\d+) are needed/.exec(reason)!.map(Number);
    expect(leftMs).toBeGreaterThan(0.9 * 180_000 * (needed! / blocks! - 1));
  });

  it('a candidate that drops frames is found', () => {
    const worse = (camera: string, second: number): Behaviour => {
      const usual = nowAndThen(camera, second);
      return usual === CALM && second % 4 === 0 ? { ...CALM, frames: FPS - 1, dropped: 1 } : usual;
    };
    expect(rates(rig().warmUp(60, nowAndThen).run(900, worse, nowAndThen))).toContain('fail');
  });

  it('a candidate does not pass that loses more only while the process is busy', () => {
    const worse = (camera: string, second: number): Behaviour => {
      const usual = nowAndThen(camera, second);
      return usual === BUSY ? { ...BUSY, frames: FPS - 3, dropped: 3 } : usual;
    };
    expect(rates(rig().warmUp(60, nowAndThen).run(600, worse, nowAndThen))).not.toContain('pass');
  });

  it('a candidate that uses the CPU itself has no excuse', () => {
    const own = (): Behaviour => ({ ...BUSY, ...CALM });
    expect(
      rates(
        rig()
          .warmUp(60, () => CALM)
          .run(300, own, () => CALM),
      ),
    ).toContain('fail');
  });
});

describe('beside a process that is always busy', () => {
  it('an equal candidate is not rolled back, and the report says who is busy and what to do', () => {
    const equal = rig().warmUp(60).run(1200, always, always);
    expect(failed(equal)).toBeNull();
    const late = rig({ guards: { p99: { margin: 0.1 } } })
      .warmUp(60, always)
      .run(60, always, always);
    expect(late.report('p99').reason).toMatch(
      /In 100 % of this time other processes took more than 10 % of the CPU: stop them, or promote by hand\.$/,
    );
  });

  it('a candidate that loses more is found: both sides meet it', () => {
    const worse = rig().warmUp(60, always);
    worse.run(600, () => ({ ...BUSY, frames: FPS - 2, dropped: 2 }), always);
    expect(rates(worse)).toContain('fail');
  });
});

it('a process that is busy in just the candidate turns does not make it fail', () => {
  const equal = rig().warmUp();
  for (let second = 0; second < 600; second++)
    equal.run(
      1,
      (camera) => (isControlTurn(camera, equal.nowMs) ? CALM : BUSY),
      () => CALM,
    );
  expect(failed(equal)).toBeNull();
});

it('a process that becomes busy when the control has its last turn does not make a candidate miss its target', () => {
  const alone = rig({ takesTurns: false }).warmUp(60, () => CALM);
  expect(failed(alone.run(600, always))).toBeNull();
  const slow = rig({ takesTurns: false }).warmUp(60, () => CALM);
  slow.run(120, () => ({ ...BUSY, ...CALM }));
  expect(slow.failed?.guard, 'nobody else is busy').toBe('target');
});

describe('cameras that send at their own rate', () => {
  const sendsLess = { frames: FPS - 1 };
  it('may send less while the candidate has its turn', () => {
    const night = rig()
      .warmUp()
      .run(600, () => sendsLess);
    expect(night.report('fps').verdict, night.report('fps').reason).toBe('pass');
    const one = rig({ cameras: GUARD_CAMERAS }).warmUp().run(300, on('gate', sendsLess));
    expect(one.report('fps').verdict, one.report('fps').reason).toBe('pass');
  });

  it('a source that waits for its model may not, as a file', () => {
    const file = rig({ isOwnRate: false })
      .warmUp()
      .run(600, () => sendsLess);
    expect(file.report('fps').verdict).toBe('fail');
  });
});
