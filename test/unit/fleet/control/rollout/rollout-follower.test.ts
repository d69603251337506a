import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { isControlTurn } from '../../../../../src/fleet/control/rollout/membership.ts';
import { RolloutFollower } from '../../../../../src/fleet/control/rollout/rollout-follower.ts';
import { CAMERAS, rolloutRecord, TargetDouble } from '../../../../support/rollout-doubles.ts';

const { from, to } = rolloutRecord();
/** At 10 %: `printf camera-4 | sha256sum` begins with 05. */
const MEMBERS = ['camera-4'];

function follow(initial = from) {
  const target = new TargetDouble(CAMERAS, initial);
  const failures: string[] = [];
  const follower = new RolloutFollower({
    target,
    initial: initial.hash,
    warmMs: 1000,
    onFailure: ({ label }) => failures.push(label),
  });
  return { target, follower, failures };
}

/** Lets loads that have been started end. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a host that follows a record', () => {
  it('loads the candidate first, then assigns the streams of the share and compares them with the control', async () => {
    const { target, follower } = follow();
    follower.apply(rolloutRecord(), 5000);
    expect(target.users(from.hash), 'not before it is warm').toEqual(CAMERAS);
    await settled();
    expect(target.users(to.hash)).toEqual(MEMBERS);
    expect([...target.shadows]).toEqual(MEMBERS.map((name) => [name, from.hash]));
    expect(target.sides).toEqual({ control: from.hash, candidate: to.hash });
  });

  it('with shadow frames compares all streams, each with the other version', async () => {
    const { target, follower } = follow();
    follower.apply(rolloutRecord({ shadow: true }), 5000);
    await settled();
    for (const name of CAMERAS) expect(target.shadows.get(name)).toBe(MEMBERS.includes(name) ? from.hash : to.hash);
  });

  it('lets both sides take turns on the streams of the candidate, each shadowed by the other; not after the end', async () => {
    const { target, follower } = follow();
    follower.apply(rolloutRecord(), 0);
    await settled();
    target.takesTurns = true;
    const [member] = MEMBERS as [string];
    const seen = new Set<string>();
    for (let nowMs = 0; nowMs < 12_000; nowMs += 1000) {
      follower.apply(rolloutRecord(), nowMs);
      const own = target.versionOf(member);
      seen.add(own);
      expect(own).toBe(isControlTurn(member, nowMs) ? from.hash : to.hash);
      expect(target.shadows.get(member)).toBe(own === from.hash ? to.hash : from.hash);
      expect(target.users(to.hash).filter((name) => name !== member)).toEqual([]);
    }
    expect(seen).toEqual(new Set([from.hash, to.hash]));
    const ended = rolloutRecord({ state: 'promoted', share: 100, endedMs: 12_000 });
    for (let nowMs = 12_000; nowMs < 24_000; nowMs += 1000) {
      follower.apply(ended, nowMs);
      await settled();
      expect(target.users(to.hash)).toEqual(CAMERAS);
    }
  });

  it('lets the candidate carry every stream alone at the second step of 100 %: no turns, and the control infers a few frames', async () => {
    const { target, follower } = follow();
    const steps = [0, 50, 100, 100];
    const compared = rolloutRecord({ steps, step: 2, share: 100, shadow: true });
    follower.apply(compared, 0);
    await settled();
    target.takesTurns = true;
    const controlUsers = new Set<number>();
    for (let nowMs = 0; nowMs < 12_000; nowMs += 1000) {
      follower.apply(compared, nowMs);
      controlUsers.add(target.users(from.hash).length);
      expect(target.isAlone).toBe(false);
      expect([...target.beside.values()]).not.toContain(null);
    }
    expect(Math.max(...controlUsers), 'some have the turn of the control').toBeGreaterThan(0);
    const alone = rolloutRecord({ steps, step: 3, share: 100, shadow: true });
    for (let nowMs = 12_000; nowMs < 24_000; nowMs += 1000) {
      follower.apply(alone, nowMs);
      expect(target.users(to.hash)).toEqual(CAMERAS);
      expect(new Set(target.shadows.values())).toEqual(new Set([from.hash]));
      for (const ratio of target.ratios.values()) expect(ratio).toBeCloseTo(0.02);
      expect(target.isAlone).toBe(true);
      expect(new Set(target.beside.values()), 'frames are made for the candidate only').toEqual(new Set([null]));
    }
    follower.apply(rolloutRecord({ steps, step: 3, share: 0, state: 'rolled-back', endedMs: 24_000 }), 24_000);
    expect(target.users(from.hash)).toEqual(CAMERAS);
  });

  it('unloads a version that a stream is still moved away from with a later beat', async () => {
    const { target, follower } = follow();
    follower.apply(rolloutRecord(), 0);
    await settled();
    const unload = target.unload.bind(target);
    let isBusy = true;
    target.unload = async (hash) => {
      if (isBusy) throw new SightlineError('MODEL_BUSY', 'camera-4 uses it');
      await unload(hash);
    };
    const ended = rolloutRecord({ state: 'rolled-back', share: 0, endedMs: 1000 });
    follower.apply(ended, 5000);
    await settled();
    expect(target.isLoaded(to.hash)).toBe(true);
    isBusy = false;
    follower.apply(ended, 6000);
    await settled();
    expect(target.isLoaded(to.hash)).toBe(false);
  });

  it('changes nothing when the same record comes again', async () => {
    const { target, follower } = follow();
    follower.apply(rolloutRecord(), 5000);
    await settled();
    const before = [...target.calls];
    for (let i = 0; i < 3; i += 1) follower.apply(rolloutRecord(), 6000 + i);
    await settled();
    expect(target.calls).toEqual(before);
  });

  it.each([
    ['rolled-back', 0, from, to],
    ['aborted', 0, from, to],
    ['promoted', 100, to, from],
  ] as const)(
    'after it was %s unloads the other version, but only when warmMs are over',
    async (state, share, live, other) => {
      const { target, follower } = follow();
      follower.apply(rolloutRecord(), 5000);
      await settled();
      const ended = rolloutRecord({ state, share, endedMs: 6000 });
      follower.apply(ended, 6999);
      await settled();
      expect(target.users(live.hash)).toEqual(CAMERAS);
      expect(target.adopted, 'for new streams').toBe(live.hash);
      expect([target.isLoaded(other.hash), target.shadows.size, target.sides]).toEqual([true, 0, null]);
      follower.apply(ended, 7000);
      await settled();
      expect([target.isLoaded(other.hash), target.isLoaded(live.hash)]).toEqual([false, true]);
      expect(target.users(live.hash)).toEqual(CAMERAS);
    },
  );

  it('of a host that has just started takes over what was promoted long ago', async () => {
    const { target, follower } = follow();
    follower.apply(rolloutRecord({ state: 'promoted', share: 100, endedMs: 0 }), 9_000_000);
    await settled();
    follower.apply(rolloutRecord({ state: 'promoted', share: 100, endedMs: 0 }), 9_001_000);
    await settled();
    expect(target.users(to.hash)).toEqual(CAMERAS);
    expect(target.isLoaded(from.hash), 'the model of the pipeline file as well').toBe(false);
  });

  it.each(['promoted', 'rolled-back', 'aborted'] as const)(
    'whose pipeline file was changed after a roll-out was %s keeps to the file',
    async (state) => {
      const changed = { ...from, hash: 'c'.repeat(64) };
      const { target, follower } = follow(changed);
      const ended = rolloutRecord({ state, share: state === 'promoted' ? 100 : 0, endedMs: 0 });
      for (let i = 0; i < 3; i += 1) {
        follower.apply(ended, 9_000_000 + i);
        await settled();
      }
      expect(target.users(changed.hash)).toEqual(CAMERAS);
      expect([...target.loaded]).toEqual([changed.hash]);
      follower.apply(rolloutRecord({ fence: ended.fence + 1 }), 9_001_000);
      await settled();
      expect(target.users(to.hash), 'the next roll-out is followed').toEqual(MEMBERS);
    },
  );

  it('keeps the control if the candidate cannot be loaded, and tries again after 5 s, not sooner', async () => {
    const { target, follower, failures } = follow();
    target.failure = new SightlineError('ENGINE_UNAVAILABLE', 'no memory');
    for (const nowMs of [5000, 9999, 10_000]) {
      follower.apply(rolloutRecord(), nowMs);
      await settled();
    }
    expect(failures).toEqual([to.label, to.label]);
    expect(target.users(from.hash)).toEqual(CAMERAS);
    target.failure = null;
    follower.apply(rolloutRecord(), 15_000);
    await settled();
    expect(target.users(to.hash)).toEqual(MEMBERS);
  });
});
