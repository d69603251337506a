import { afterEach, beforeEach, expect, it } from 'vitest';
import { MemoryBus } from '../../../../../src/fleet/control/memory/memory-bus.ts';
import { StoredRollouts } from '../../../../../src/fleet/control/state/stored-rollouts.ts';
import { MemoryStore } from '../../../../../src/fleet/control/store/memory-store.ts';
import type { RecordedFinding } from '../../../../../src/wire/protocol/rollout-records.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { CAMERAS } from '../../../../support/rollout-doubles.ts';
import { type RolloutHost, RolloutRig } from '../../../../support/rollout-rig.ts';

const REQUEST = { model: 'new', steps: [50, 100], holdMs: 1000, minFrames: 1, shadow: true };
const HOUR_MS = 3_600_000;

let rig: RolloutRig;
let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
  clock.advance(2 * HOUR_MS);
  const store = new StoredRollouts({ store: new MemoryStore(clock), leaseMs: 5000, pipeline: 'people' });
  rig = new RolloutRig({ store, bus: new MemoryBus() });
});
afterEach(() => rig.close());

const found = (streams: readonly string[], lost: number): RecordedFinding[] =>
  streams.map((stream) => ({
    stream,
    state: 'judged',
    reason: '',
    frames: 9,
    before: 10,
    lost,
    after: 10 - lost,
    gained: 0,
  }));
async function beat(...hosts: readonly RolloutHost[]): Promise<void> {
  for (let i = 0; i < 3; i += 1) for (const { agent } of hosts) await agent.tick();
}
const candidateOf = ({ agent }: RolloutHost): string =>
  agent.versions().find(({ label }) => label === agent.rollout()!.to)!.hash;

it('a roll-out with recordings first tries both on them: no stream, shadow frame or memory for the candidate before', async () => {
  const one = await rig.host('one', CAMERAS.slice(0, 6));
  const two = await rig.host('two', CAMERAS.slice(6));
  const started = await one.agent.startRollout({ ...REQUEST, recorded: { lastMs: HOUR_MS } }, 'anna');
  expect(started).toMatchObject({ step: 0, share: 0, steps: [0, 0, 50, 100, 100] });
  one.target.found = { recorded: found(CAMERAS.slice(0, 6), 0), isDone: true };
  await beat(one, two);
  expect(one.agent.rollout()).toMatchObject({ step: 0, guards: [{ guard: 'recorded', verdict: 'no-data' }] });
  for (const { target } of [one, two]) {
    expect([target.tried, target.shadows.size, target.loaded.has(candidateOf(one))]).toEqual(['rollout-1', 0, false]);
  }
  two.target.found = { recorded: found(CAMERAS.slice(6), 0), isDone: true };
  await beat(one, two);
  expect(one.agent.rollout()).toMatchObject({ step: 1, share: 0, state: 'running' });
  await beat(one, two);
  for (const { target } of [one, two]) expect([target.tried, target.shadows.size]).toEqual([null, 6]);
});

it('a candidate that loses events is refused, with reason, event and the figures of its guard', async () => {
  const one = await rig.host('one');
  await one.agent.startRollout({ ...REQUEST, recorded: { fromMs: 1000, toMs: 9000 } }, 'anna');
  one.target.found = { recorded: found(CAMERAS, 9), isDone: true };
  await beat(one);
  const { state, reason, guards } = one.agent.rollout()!;
  expect([state, reason]).toEqual(['rolled-back', expect.stringContaining('108 of 120 lost')]);
  expect(guards[0]).toMatchObject({ guard: 'recorded', verdict: 'fail', estimate: 0.9 });
  expect(one.events.at(-1)).toMatchObject({
    kind: 'rollout-rolled-back',
    message: expect.stringContaining('recorded'),
  });
  expect(one.target.calls).toEqual([]);
  expect(one.target.tried).toBeNull();
});

it('the step is done again after a restart, by the host that decides then, and ends with an abort', async () => {
  const one = await rig.host('one');
  await one.agent.startRollout({ ...REQUEST, recorded: { lastMs: HOUR_MS } }, 'anna');
  await beat(one);
  rig.kill(one);
  clock.advance(10_000);
  const next = await rig.host('next');
  await beat(next);
  expect([next.agent.rollout()!.step, next.target.tried]).toEqual([0, 'rollout-1']);
  next.target.found = { recorded: found(CAMERAS, 0), isDone: true };
  await beat(next);
  expect(next.agent.rollout()!.step).toBe(1);
  await next.agent.actOnRollout('abort', { who: 'anna', isFull: false, seen: null });
  await next.agent.startRollout({ ...REQUEST, recorded: { lastMs: HOUR_MS } }, 'anna');
  expect(next.target.tried).toBe('rollout-2');
  await next.agent.actOnRollout('abort', { who: 'anna', isFull: false, seen: null });
  expect([next.agent.rollout()!.state, next.target.tried]).toEqual(['aborted', null]);
});

it('a host that does not answer is waited for until the time is over; then a person decides', async () => {
  const one = await rig.host('one');
  const guards = { recorded: { limitMs: HOUR_MS } };
  one.panels.check = (raw) => raw as never;
  await one.agent.startRollout({ ...REQUEST, guards, recorded: { lastMs: HOUR_MS } }, 'anna');
  clock.advance(HOUR_MS - 1);
  await beat(one);
  expect(one.agent.rollout()).toMatchObject({ state: 'running', step: 0 });
  clock.advance(1);
  await beat(one);
  expect(one.agent.rollout()).toMatchObject({
    state: 'holding',
    step: 0,
    waitsFor: expect.stringContaining('a person'),
  });
  expect(one.agent.rollout()!.reason).toContain('The time of 60 min is over.');
});

it.each([
  [{ lastMs: 10 }, 'recorded'],
  [{ fromMs: 9, toMs: 9 }, 'expected fromMs before toMs'],
  [{ lastMs: HOUR_MS, fromMs: 1, toMs: 2 }, 'recorded'],
])('a time of recordings such as %j is refused', async (recorded, message) => {
  const one = await rig.host('one');
  await expect(one.agent.startRollout({ ...REQUEST, recorded }, 'anna')).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(message),
  });
});
