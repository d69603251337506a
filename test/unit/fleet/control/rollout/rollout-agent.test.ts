import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { MemoryBus } from '../../../../../src/fleet/control/memory/memory-bus.ts';
import { StoredRollouts } from '../../../../../src/fleet/control/state/stored-rollouts.ts';
import { MemoryStore } from '../../../../../src/fleet/control/store/memory-store.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { CAMERAS, seen } from '../../../../support/rollout-doubles.ts';
import { INITIAL, type RolloutHost, RolloutRig } from '../../../../support/rollout-rig.ts';
import { waitFor } from '../../../../support/wait-for.ts';

const REQUEST = { model: 'new', steps: [50, 100], holdMs: 60_000, minFrames: 25 };
const GONE = new SightlineError('MODEL_WEIGHTS_MISSING', 'model new: new.onnx not found');
const WARM_MS = 600_000;

describe('a rolled-out version', () => {
  let rig: RolloutRig;
  let clock: ManualClock;
  let store: StoredRollouts;

  beforeEach(() => {
    clock = new ManualClock();
    store = new StoredRollouts({ store: new MemoryStore(clock), leaseMs: 60_000, pipeline: 'people' });
    rig = new RolloutRig({ store, bus: new MemoryBus() });
  });
  afterEach(() => rig.close());

  const act = ({ agent }: RolloutHost, verb: 'promote' | 'undo' | 'abort') =>
    agent.actOnRollout(verb, { who: 'anna', isFull: true, seen: seen(agent.rollout()!) });
  const candidateOf = ({ agent }: RolloutHost): string =>
    agent.versions().find(({ label }) => label === agent.rollout()!.to)!.hash;

  async function beatUntil(hosts: readonly RolloutHost[], what: string, claim: () => boolean): Promise<void> {
    await waitFor(what, async () => {
      for (const { agent } of hosts) await agent.tick();
      return claim();
    });
  }

  it('that waits is in the log each minute, with what is awaited and until when', async () => {
    const one = await rig.host('one');
    await one.agent.startRollout(REQUEST, 'anna');
    for (let second = 0; second < 200; second++) {
      clock.advance(1000);
      await one.agent.tick();
    }
    const said = one.notices.filter((text) => text.startsWith('roll-out rollout-1 at'));
    expect(said.length).toBeGreaterThanOrEqual(2);
    expect(said.length).toBeLessThanOrEqual(4);
    for (const text of said)
      expect(text).toMatch(/ %: Waiting for .* It waits until \d{4}-\d\d-\d\dT\d\d:\d\dZ at most\.$/);
  });

  it('is started although another host changes the record at the same moment', async () => {
    const one = await rig.host('one');
    const change = store.change.bind(store);
    let attempts = 0;
    store.change = async (...args) => {
      attempts += 1;
      return attempts === 1 ? null : change(...args);
    };
    await one.agent.startRollout(REQUEST, 'anna');
    expect([attempts, one.agent.rollout()?.state]).toEqual([2, 'running']);
  });

  it('that a host cannot load is not promoted in full: the message names the host and the reason', async () => {
    const one = await rig.host('one');
    one.target.failure = GONE;
    await one.agent.startRollout(REQUEST, 'anna');
    await waitFor('the failure', () => one.notices.length > 0);
    await expect(act(one, 'promote')).rejects.toMatchObject({
      code: 'ROLLOUT_STATE',
      message: expect.stringContaining('host one cannot load people@2: model new: new.onnx not found'),
    });
    await beatUntil([one], 'the rollback', () => one.agent.rollout()?.state === 'rolled-back');
    expect(one.target.users(INITIAL.hash)).toEqual(CAMERAS);
  });

  it('is not promoted in full while another host has not loaded it, and is once it has', async () => {
    const one = await rig.host('one', CAMERAS.slice(0, 6));
    const two = await rig.host('two', CAMERAS.slice(6));
    let finish = (): void => {};
    const load = two.target.load.bind(two.target);
    const isDone = new Promise<void>((resolve) => {
      finish = resolve;
    });
    two.target.load = (wanted) => isDone.then(() => load(wanted));
    await one.agent.startRollout(REQUEST, 'anna');
    await beatUntil([one, two], 'the candidate', () => one.target.loaded.has(candidateOf(one)));
    for (let i = 0; i < 3; i += 1) await beatUntil([one, two], 'a beat', () => true);
    for (const host of [one, two])
      await expect(act(host, 'promote'), host.id).rejects.toMatchObject({
        code: 'ROLLOUT_STATE',
        message: expect.stringMatching(/host two (has not reported it as loaded|is still loading it)/),
      });
    finish();
    let state = '';
    await waitFor('the promotion', async () => {
      for (const { agent } of [one, two]) await agent.tick();
      state = await act(one, 'promote').then(
        (report) => report.state,
        () => 'refused',
      );
      return state === 'promoted';
    });
    expect(state).toBe('promoted');
    await beatUntil([one, two], 'every stream', () => two.target.users(candidateOf(one)).length === 6);
  });

  it('is rolled back by itself if a host that joins after the promotion cannot load it', async () => {
    const one = await rig.host('one', CAMERAS.slice(0, 6));
    await promoted(one);
    const two = await rig.host('two', CAMERAS.slice(6), GONE);
    await beatUntil([two, one], 'the rollback', () => one.agent.rollout()?.state === 'rolled-back');
    expect(one.agent.rollout()).toMatchObject({ reason: expect.stringContaining('host two cannot load people@2') });
    expect(one.target.users(INITIAL.hash)).toEqual(CAMERAS.slice(0, 6));
    expect(two.events.map(({ kind }) => kind)).toContain('rollout-not-loaded');
  });

  it('that one host cannot load stays on the others once the version before is no longer kept: the host says so', async () => {
    const one = await rig.host('one', CAMERAS.slice(0, 6));
    await promoted(one);
    clock.advance(WARM_MS);
    const two = await rig.host('two', CAMERAS.slice(6), GONE);
    await beatUntil([two], 'the failure', () => two.events.length > 0);
    for (let i = 0; i < 3; i += 1) await two.agent.tick();
    expect(two.agent.rollout()).toMatchObject({
      state: 'promoted',
      members: 6,
      candidateStreams: CAMERAS.slice(0, 6),
      waitsFor: expect.stringContaining('host two cannot load people@2'),
    });
    expect(two.events.filter(({ kind }) => kind === 'rollout-not-loaded')).toHaveLength(1);
    expect([one.agent.problem(), two.agent.problem()]).toEqual([null, expect.stringContaining('host two cannot load')]);
  });

  it('that can no longer be loaded is not returned to by undo: the streams keep theirs, and the message says why', async () => {
    const one = await rig.host('one');
    await promoted(one);
    clock.advance(WARM_MS);
    await beatUntil([one], 'the memory', () => !one.target.loaded.has(INITIAL.hash));
    one.target.failure = new SightlineError('MODEL_WEIGHTS_MISSING', 'model old: old.onnx not found');
    await expect(act(one, 'undo')).rejects.toMatchObject({
      code: 'ROLLOUT_STATE',
      message: expect.stringContaining('host one cannot load it: model old: old.onnx not found'),
    });
    expect(one.agent.rollout()?.state).toBe('promoted');
    one.target.failure = null;
    expect((await act(one, 'undo')).state).toBe('rolled-back');
    await beatUntil([one], 'the old version', () => one.target.users(INITIAL.hash).length === CAMERAS.length);
  });

  it('is judged by the time of the control plane, on which all hosts agree, whatever the clock of its host', async () => {
    clock.jump(5_000_000);
    const one = await rig.host('one');
    await one.agent.startRollout(REQUEST, 'anna');
    await one.agent.tick();
    expect(one.panels.nowMs?.()).toBe(5_000_000);
  });

  it('is shown on the streams that really use it', async () => {
    const one = await rig.host('one');
    await promoted(one);
    const candidate = candidateOf(one);
    expect(one.agent.rollout()?.candidateStreams).toEqual(one.target.users(candidate));
    one.target.versions.set('camera-3', INITIAL.hash);
    expect(one.agent.rollout()?.candidateStreams).not.toContain('camera-3');
  });

  async function promoted(host: RolloutHost): Promise<void> {
    await host.agent.startRollout(REQUEST, 'anna');
    await beatUntil([host], 'the candidate', () => host.target.loaded.has(candidateOf(host)));
    await act(host, 'promote');
    await beatUntil([host], 'every stream', () => host.target.users(INITIAL.hash).length === 0);
  }
});
