import { expect, it } from 'vitest';
import { Incidents } from '../../../../../src/base/flow/incidents.ts';
import { MemoryBus } from '../../../../../src/fleet/control/memory/memory-bus.ts';
import { isMember } from '../../../../../src/fleet/control/rollout/membership.ts';
import { StoredRollouts } from '../../../../../src/fleet/control/state/stored-rollouts.ts';
import { MemoryStore } from '../../../../../src/fleet/control/store/memory-store.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { CAMERAS } from '../../../../support/rollout-doubles.ts';
import { RolloutRig } from '../../../../support/rollout-rig.ts';

it('a step is left 10 minutes after its last stream was removed, and waits anew if one came back meanwhile', async () => {
  const clock = new ManualClock();
  const store = new StoredRollouts({ store: new MemoryStore(clock), leaseMs: 5000, pipeline: 'people' });
  const rig = new RolloutRig({ store, bus: new MemoryBus(new Incidents()) });
  const { agent } = await rig.host('one');
  const share = (): number | undefined => agent.rollout()?.share;
  const after = async (ms: number): Promise<void> => {
    clock.jump(ms);
    await agent.tick();
  };
  await agent.startRollout({ model: 'new', steps: [50, 100], holdMs: 0, minFrames: 25 }, 'anna');
  await agent.tick();
  expect(share()).toBe(50);
  await after(3_600_000);
  const others = CAMERAS.filter((name) => !isMember(name, 50));
  rig.streams = others;
  await after(0);
  await after(599_999);
  rig.streams = CAMERAS;
  await after(1);
  rig.streams = others;
  await after(0);
  await after(599_999);
  expect(share()).toBe(50);
  expect(agent.rollout()?.waitsFor).toContain('none of those at 50 % is left');
  await after(1);
  expect(share()).toBe(100);
  await rig.close();
});
