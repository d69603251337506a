import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../../../../src/base/flow/incidents.ts';
import { MemoryBus } from '../../../../../src/fleet/control/memory/memory-bus.ts';
import { StoredRollouts } from '../../../../../src/fleet/control/state/stored-rollouts.ts';
import { MemoryStore } from '../../../../../src/fleet/control/store/memory-store.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { seen } from '../../../../support/rollout-doubles.ts';
import { INITIAL, type RolloutHost, RolloutRig } from '../../../../support/rollout-rig.ts';
import { waitFor } from '../../../../support/wait-for.ts';

const REQUEST = { model: 'new', steps: [50, 100], holdMs: 0, minFrames: 25 };
const DAY_MS = 86_400_000;

describe('a host that ends soon after each start, once the candidate is promoted', () => {
  let clock: ManualClock;
  let rig: RolloutRig;
  let host: RolloutHost;

  async function crash(): Promise<void> {
    rig.kill(host);
    host = await rig.host('one');
    await host.agent.tick();
  }

  beforeEach(async () => {
    clock = new ManualClock();
    const store = new StoredRollouts({ store: new MemoryStore(clock), leaseMs: 5000, pipeline: 'people' });
    rig = new RolloutRig({ store, bus: new MemoryBus(new Incidents()) });
    host = await rig.host('one');
    const report = await host.agent.startRollout(REQUEST, 'anna');
    await host.agent.actOnRollout('promote', { who: 'anna', isFull: true, seen: seen(report) });
  });
  afterEach(() => rig.close());

  it('loads the version before instead of the candidate a fourth time, and says why', async () => {
    for (let end = 1; end <= 3; end += 1) {
      await crash();
      expect(host.agent.rollout()?.state, `after ${end} ends`).toBe('promoted');
    }
    await crash();
    expect(host.agent.rollout()).toMatchObject({
      state: 'rolled-back',
      reason: 'host one ended 3 times in a row within 60 s of its start after people@2 was promoted',
    });
    expect(host.target.calls).toEqual([]);
    expect(host.target.users(INITIAL.hash)).toHaveLength(12);
    await waitFor('the audit log', () => host.audit().at(-1)?.kind === 'rolled-back');
    expect(host.audit().at(-1)).toMatchObject({ who: 'one', isAutomatic: true });
  });

  it('is not blamed on the candidate if the host ends in order', async () => {
    for (let end = 1; end <= 5; end += 1) {
      await host.agent.close();
      await crash();
    }
    expect(host.agent.rollout()?.state).toBe('promoted');
  });

  it('is not blamed on a candidate that was promoted a week ago', async () => {
    clock.jump(7 * DAY_MS);
    for (let end = 1; end <= 5; end += 1) await crash();
    expect(host.agent.rollout()?.state).toBe('promoted');
  });
});
