import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/core/clock.ts';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { RolloutController } from '../../src/fleet/control/rollout/rollout-controller.ts';
import type { RolloutStore } from '../../src/fleet/control/rollout/rollout-store.ts';
import { CAMERAS, guardReport, PanelsDouble, seen, sideObservation } from '../support/rollout-doubles.ts';
import { INITIAL, type RolloutHost, RolloutRig } from '../support/rollout-rig.ts';
import { waitFor } from '../support/wait-for.ts';
import { type FleetRig, LEASE_MS, rigMakers } from './control-plane-rigs.ts';

/** Streams that use the candidate at 50 %: `printf NAME | sha256sum` begins with a digit below 8. */
const HALF = [0, 1, 2, 3, 4, 5, 6, 7, 10].map((i) => `camera-${i}`);
const OTHERS = 3;
/** Steps without waiting: the clock of Redis is not the test's. */
const REQUEST = { model: 'new', steps: [50, 100], holdMs: 0, minFrames: 25 };

describe.each(rigMakers())('hosts that roll out a version in $name', (maker) => {
  let plane: FleetRig;
  let rig: RolloutRig;
  let store: RolloutStore;
  let isAway: boolean;

  beforeEach(async () => {
    if (maker.isSkipped) return;
    plane = await maker.open();
    isAway = false;
    store = new Proxy(plane.rollouts('people'), {
      get: (inner, name) => {
        const member: unknown = Reflect.get(inner, name);
        if (typeof member !== 'function') return member;
        return async (...args: unknown[]) => {
          if (isAway) throw new SightlineError('CONTROL_UNREACHABLE', 'redis://redis.example: no answer within 2 s');
          return member.apply(inner, args) as unknown;
        };
      },
    });
    rig = new RolloutRig({ store, bus: plane.bus });
  });
  afterEach(async () => {
    if (maker.isSkipped) return;
    isAway = false;
    await rig.close();
    await plane.close();
  });
  afterAll(() => maker.close());

  const it_ = it.skipIf(maker.isSkipped);

  /** Beats until a claim holds; observations travel over the bus, so one beat may not be enough. */
  async function beatUntil(hosts: readonly RolloutHost[], what: string, claim: () => boolean): Promise<void> {
    await waitFor(what, async () => {
      for (const { agent } of hosts) await agent.tick();
      return claim();
    });
  }

  /** Lets the candidate run with these verdicts until the roll-out is in a state or at a step. */
  async function runUntil(hosts: readonly RolloutHost[], claim: () => boolean): Promise<void> {
    await waitFor('the roll-out', async () => {
      for (const { target } of hosts) {
        if (!target.isAlone) target.report(sideObservation({ side: 'control' }));
        target.report(sideObservation());
      }
      for (const { agent } of hosts) await agent.tick();
      return claim();
    });
  }

  const labelOf = (host: RolloutHost): string => host.agent.rollout()!.to;
  const candidateOf = (host: RolloutHost): string =>
    host.agent.versions().find(({ label }) => label === labelOf(host))!.hash;

  it_('promote an equal candidate step by step, on every host', async () => {
    const one = await rig.host('one', CAMERAS.slice(0, 6));
    const two = await rig.host('two', CAMERAS.slice(6));
    const started = await one.agent.startRollout(REQUEST, 'anna');
    expect(started).toMatchObject({
      state: 'running',
      step: 0,
      share: 0,
      steps: [0, 50, 100, 100],
      from: 'people@1',
      to: 'people@2',
    });
    one.panels.say(guardReport('pass'));

    await beatUntil([one, two], '50 %', () => two.agent.rollout()?.share === 50);
    await beatUntil([one, two], 'both hosts', () => one.target.shadows.size === 6 && two.target.shadows.size === 3);
    const users = [...one.target.users(candidateOf(one)), ...two.target.users(candidateOf(one))];
    expect(users).toEqual(HALF);
    expect(one.agent.rollout()).toMatchObject({ members: 9, streams: 12 });
    expect([...one.target.shadows.keys(), ...two.target.shadows.keys()], 'each is compared with its control').toEqual(
      HALF,
    );

    await runUntil([one, two], () => two.agent.rollout()?.state === 'promoted' && two.target.sides === null);
    expect(one.target.users(candidateOf(one)).length + two.target.users(candidateOf(one)).length).toBe(12);
    expect([one.target.shadows.size, two.target.shadows.size]).toEqual([0, 0]);
    expect(one.agent.versions().map(({ label, role }) => [label, role])).toEqual([
      ['people@1', 'idle'],
      ['people@2', 'live'],
    ]);
  });

  it_('roll back a candidate that ends its host soon after each start', async () => {
    let one = await rig.host('one');
    await one.agent.startRollout(REQUEST, 'anna');
    for (let start = 1; start <= 3; start += 1) {
      rig.kill(one);
      one = await rig.host('one');
      await beatUntil([one], 'the candidate', () => one.target.loaded.has(candidateOf(one)));
      expect(one.agent.rollout()?.endedMs, `after ${start} starts`).toBeNull();
    }
    rig.kill(one);
    one = await rig.host('one');
    await beatUntil([one], 'the rollback', () => one.agent.rollout()?.state === 'rolled-back');
    expect(one.agent.rollout()?.reason).toContain('host one ended 3 times in a row within 60 s of its start');
    expect([...one.target.loaded]).toEqual([INITIAL.hash]);
    expect((await one.agent.startRollout(REQUEST, 'anna')).state, 'the next one is not blamed').toBe('running');
  });

  it_('do not count ends in order as crashes of the candidate', async () => {
    let one = await rig.host('one');
    await one.agent.startRollout(REQUEST, 'anna');
    for (let start = 1; start <= 5; start += 1) {
      await one.agent.close();
      rig.kill(one);
      one = await rig.host('one');
      await beatUntil([one], 'the candidate', () => one.target.loaded.has(candidateOf(one)));
    }
    expect(one.agent.rollout()?.endedMs).toBeNull();
  });

  it_('start nothing while no stream is known, and need data of every guard until one is', async () => {
    rig.streams = [];
    const one = await rig.host('one');
    await expect(one.agent.startRollout(REQUEST, 'anna')).rejects.toMatchObject({ code: 'ROLLOUT_STATE' });
    rig.streams = CAMERAS;
    await one.agent.startRollout(REQUEST, 'anna');
    one.panels.say(guardReport('pass'));
    await beatUntil([one], '50 %', () => one.agent.rollout()?.share === 50);
    one.panels.say(guardReport('pass'), guardReport('no-data', { guard: 'p99' }));
    await runUntil([one], () => one.agent.rollout()!.frames >= REQUEST.minFrames);
    // A controller that has just started has not heard of streams yet.
    rig.streams = [];
    for (let i = 0; i < 3; i += 1) await one.agent.tick();
    expect(one.agent.rollout()?.share).toBe(50);
  });

  it_('roll a bad candidate back by themselves, and write the figures into every audit log', async () => {
    const one = await rig.host('one');
    const two = await rig.host('two');
    await two.agent.startRollout(REQUEST, 'anna');
    one.panels.say(guardReport('pass'));
    await beatUntil([one, two], '50 %', () => one.target.users(INITIAL.hash).length === OTHERS);
    const failed = guardReport('fail', { reason: 'F1 is 0.12 lower (0.09 to 0.15), the margin is 0.03' });
    one.panels.say(failed);
    await beatUntil([one, two], 'the rollback', () => two.agent.rollout()?.state === 'rolled-back');

    expect(one.target.users(INITIAL.hash)).toEqual(CAMERAS);
    expect(one.agent.rollout()).toMatchObject({
      share: 0,
      guards: [failed],
      reason: expect.stringContaining('0.09 to 0.15'),
    });
    const ended = (host: RolloutHost): boolean => host.audit().at(-1)?.kind === 'rolled-back';
    await waitFor('the logs', () => ended(one) && ended(two));
    expect(one.audit()).toEqual(two.audit());
    // Between the steps it may have waited for frames.
    const decisions = one.audit().filter(({ kind }) => kind !== 'held');
    expect(decisions.map(({ kind, who, isAutomatic }) => [kind, who, isAutomatic])).toEqual([
      ['started', 'anna', false],
      ['advanced', 'one', true],
      ['rolled-back', 'one', true],
    ]);
    expect(decisions[2]).toMatchObject({
      reports: [failed],
      from: 'people@1',
      to: 'people@2',
      time: expect.any(String),
    });
    const kinds = one.audit().map(({ kind }) => `rollout-${kind}`);
    expect(one.events.map(({ kind }) => kind)).toEqual(kinds);
    expect(two.events.map(({ kind }) => kind)).toEqual(kinds);
  });

  it_.each([0, 1, 2])('go on with the saved evidence after the controller has died at step %i', async (step) => {
    const one = await rig.host('one');
    await one.agent.startRollout(REQUEST, 'anna');
    // Without a baseline the first step lasts; undecided guards hold the others.
    if (step === 0) one.panels.unready = CAMERAS;
    one.panels.say(guardReport(step === 2 ? 'pass' : 'undecided'));
    await runUntil([one], () => one.agent.rollout()?.step === step);
    one.panels.say(guardReport('undecided'));
    const marked = sideObservation({ stream: 'camera-0', frames: 24 });
    await one.agent.tick();
    one.target.report(marked);
    await beatUntil([one], 'evidence', () => one.panels.newest.observed.includes(marked) || holds(one, marked));
    await one.agent.tick();
    const seen = one.panels.newest.observed.length;
    rig.kill(one);

    const two = await rig.host('two');
    two.panels.unready = one.panels.unready;
    await two.agent.tick();
    expect(two.panels.opened, 'the lease of the dead controller still runs').toHaveLength(0);
    await plane.advance(LEASE_MS);
    await two.agent.tick();
    expect(two.panels.newest.observed).toHaveLength(seen);
    expect(two.agent.rollout()).toMatchObject({ step, share: [0, 50, 100][step] });
    two.panels.unready = [];
    two.panels.say(guardReport('pass'));
    await runUntil([two], () => two.agent.rollout()?.state === 'promoted');
    expect(two.target.users(candidateOf(two))).toEqual(CAMERAS);
  });

  function holds({ panels }: RolloutHost, { frames }: { readonly frames: number }): boolean {
    return panels.newest.observed.some((one) => 'frames' in one && one.frames === frames);
  }

  it_('never decide twice: of two controllers with the same record one succeeds', async () => {
    const one = await rig.host('one');
    await one.agent.startRollout({ ...REQUEST, minFrames: 1 }, 'anna');
    const { rollout, nowMs } = await store.beat({ hostId: 'one', knownFence: 0 });
    const [good, bad] = [new PanelsDouble(), new PanelsDouble()];
    good.say(guardReport('pass'));
    bad.say(guardReport('fail'));
    const common = { store, streams: () => CAMERAS, hosts: () => ['one'], onNotice: () => {}, clock: systemClock };
    const make = (panels: PanelsDouble): RolloutController =>
      new RolloutController({ ...common, panels, hostId: 'one' });
    const results = await Promise.all([make(good).round(rollout!, nowMs), make(bad).round(rollout!, nowMs)]);
    expect(results.filter((isChanged) => isChanged)).toHaveLength(1);
    expect(await store.history()).toHaveLength(2);

    const stranger = new RolloutController({ ...common, panels: bad, hostId: 'two' });
    const newest = (await store.beat({ hostId: 'one', knownFence: 0 })).rollout!;
    expect(await stranger.round(newest, nowMs), 'a host that is not the controller').toBe(false);
    expect(await store.history()).toHaveLength(2);
  });

  it_('put the record back after the control plane has lost its data, and go on', async () => {
    const one = await rig.host('one');
    const two = await rig.host('two');
    await one.agent.startRollout(REQUEST, 'anna');
    one.panels.say(guardReport('pass'));
    two.panels.say(guardReport('pass'));
    await beatUntil([one, two], '50 %', () => two.agent.rollout()?.share === 50);
    await plane.loseData();
    await two.agent.tick();
    expect(two.notices.join()).toContain('put it back');
    expect((await store.beat({ hostId: 'x', knownFence: 0 })).rollout).toMatchObject({ share: 50, step: 1 });
    await runUntil([two, one], () => one.agent.rollout()?.state === 'promoted');
    expect(one.target.users(candidateOf(one))).toEqual(CAMERAS);
    await waitFor('the log', () => two.audit().some(({ kind }) => kind === 'promoted'));
    const kinds = two.audit().map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind !== 'held')).toEqual([
      ...['started', 'advanced', 'advanced', 'advanced', 'promoted'],
    ]);
  });

  it_('keep every version while the control plane is away, say so once, and go on when it is back', async () => {
    const one = await rig.host('one');
    await one.agent.startRollout(REQUEST, 'anna');
    one.panels.say(guardReport('pass'));
    await beatUntil([one], '50 %', () => one.target.users(INITIAL.hash).length === OTHERS);
    isAway = true;
    one.panels.say(guardReport('fail'));
    for (let i = 0; i < 3; i += 1) await one.agent.tick();
    expect(one.target.users(INITIAL.hash)).toHaveLength(OTHERS);
    expect(one.notices.filter((text) => text.includes('CONTROL_UNREACHABLE'))).toHaveLength(1);
    await expect(one.agent.actOnRollout('abort', { who: 'anna', isFull: false, seen: null })).rejects.toMatchObject({
      code: 'CONTROL_UNREACHABLE',
    });
    isAway = false;
    await beatUntil([one], 'the rollback', () => one.agent.rollout()?.state === 'rolled-back');
    expect(one.target.users(INITIAL.hash)).toEqual(CAMERAS);
  });

  it_('roll back if one host cannot load the candidate, with its reason', async () => {
    const one = await rig.host('one', CAMERAS.slice(0, 6));
    const two = await rig.host('two', CAMERAS.slice(6));
    two.target.failure = new SightlineError('MODEL_WEIGHTS_MISSING', 'model new: new.onnx not found');
    await one.agent.startRollout(REQUEST, 'anna');
    await beatUntil([one, two], 'the rollback', () => one.agent.rollout()?.state === 'rolled-back');
    expect(one.agent.rollout()?.reason).toBe(
      'host two cannot load people@2: model new: new.onnx not found [MODEL_WEIGHTS_MISSING]',
    );
  });

  it_('undo a promotion at once: the version before is still loaded', async () => {
    const one = await rig.host('one');
    await one.agent.startRollout(REQUEST, 'anna');
    await one.agent.actOnRollout('promote', { who: 'anna', isFull: true, seen: seen(one.agent.rollout()!) });
    await beatUntil([one], '100 %', () => one.target.users(INITIAL.hash).length === 0);
    const before = one.target.calls.length;
    const undone = await one.agent.actOnRollout('undo', { who: 'bert', isFull: false, seen: null });
    expect(undone).toMatchObject({ state: 'rolled-back', share: 0, reason: expect.stringContaining('bert') });
    expect(one.target.users(INITIAL.hash)).toEqual(CAMERAS);
    expect(one.target.calls.slice(before).filter((call) => call.startsWith('load'))).toEqual([]);
  });

  it_('go past a step whose streams are all silent, and hold at the last one, saying what they wait for', async () => {
    const one = await rig.host('one');
    const noData = { estimate: null, low: null, high: null };
    await one.agent.startRollout(REQUEST, 'anna');
    one.panels.quiet = CAMERAS;
    one.panels.say(guardReport('no-data', noData));
    const isLast = (): boolean => one.agent.rollout()?.share === 100 && one.agent.rollout()?.state === 'holding';
    await beatUntil([one], 'the last step', isLast);
    const skipped = (await one.agent.rolloutHistory()).find(({ share, kind }) => share === 100 && kind === 'advanced');
    expect(skipped?.reason).toBe(
      'All 9 streams at 50 % published no frame for 10 minutes: there is nothing to compare before the next step.',
    );
    expect(one.agent.rollout()?.waitsFor).toBe(
      'Waiting for frames (0 of 25) and the guard agreement: how long that takes cannot be said; if nobody promotes it, it is rolled back in 24 h.',
    );
  });

  it_('refuse the second of two promotions of one step, at whichever host', async () => {
    const one = await rig.host('one');
    const two = await rig.host('two');
    const step = seen(await one.agent.startRollout(REQUEST, 'anna'));
    const promote = ({ agent }: RolloutHost, who: string) =>
      agent.actOnRollout('promote', { who, isFull: false, seen: step });
    const results = await Promise.allSettled([promote(one, 'anna'), promote(two, 'bert')]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const refused = results.find((result) => result.status === 'rejected');
    expect(refused?.reason).toMatchObject({ code: 'ROLLOUT_STATE' });
    await expect(promote(two, 'bert')).rejects.toMatchObject({ code: 'ROLLOUT_STATE' });
    expect((await two.agent.actOnRollout('hold', { who: 'bert', isFull: false, seen: null })).step).toBe(1);
  });

  it_('let people act at any host while another one decides', async () => {
    const one = await rig.host('one');
    const two = await rig.host('two');
    await one.agent.startRollout(REQUEST, 'anna');
    await two.agent.actOnRollout('hold', { who: 'bert', isFull: false, seen: null });
    one.panels.say(guardReport('pass'));
    for (let i = 0; i < 3; i += 1) await one.agent.tick();
    expect(one.agent.rollout()).toMatchObject({ state: 'holding', heldBy: 'bert', step: 0 });
    await expect(two.agent.startRollout({ ...REQUEST, model: 'newer' }, 'bert')).rejects.toMatchObject({
      code: 'ROLLOUT_RUNNING',
    });
    await two.agent.actOnRollout('abort', { who: 'bert', isFull: false, seen: null });
    const again = await one.agent.startRollout({ ...REQUEST, model: 'newer' }, 'bert');
    expect(again).toMatchObject({ id: 'rollout-2', to: 'people@3', from: 'people@1' });
  });
});
