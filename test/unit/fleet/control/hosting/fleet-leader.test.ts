import { expect, it } from 'vitest';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { Incidents } from '../../../../../src/base/flow/incidents.ts';
import type { FleetSnapshot } from '../../../../../src/fleet/control/control-plane.ts';
import { FleetLeader } from '../../../../../src/fleet/control/hosting/fleet-leader.ts';
import { MemoryBus } from '../../../../../src/fleet/control/memory/memory-bus.ts';
import { PLAN_DEFAULTS } from '../../../../../src/fleet/control/planning/plan-options.ts';
import { StoredState } from '../../../../../src/fleet/control/state/stored-state.ts';
import { MemoryStore } from '../../../../../src/fleet/control/store/memory-store.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

it('a round of planning that fails is counted, reported at most once a second, and tried again', async () => {
  const clock = new ManualClock();
  const state = new StoredState({ store: new MemoryStore(clock), leaseMs: 5_000 });
  const whole = state.snapshot.bind(state);
  let failure: Error | null = new SightlineError('CONTROL_UNREACHABLE', 'the line is cut');
  state.snapshot = async (): Promise<FleetSnapshot> => {
    if (failure !== null) throw failure;
    return whole();
  };
  const reports: string[] = [];
  const incidents = new Incidents((text) => reports.push(text), clock);
  const control = { state, bus: new MemoryBus() };
  const leader = new FleetLeader({
    control,
    hostId: 'a',
    plan: { ...PLAN_DEFAULTS, fillRatio: 0.8, movesPerSecond: 10 },
    incidents,
  });
  expect(incidents.failures.get('planning')).toBe(0);
  for (let round = 0; round < 5; round += 1) await leader.round();
  expect(incidents.failures.get('planning')).toBe(5);
  expect(reports).toEqual(['planning failed and is tried again: the line is cut [CONTROL_UNREACHABLE]']);
  await clock.advance(1000);
  failure = new TypeError('a mistake in the planner');
  await leader.round();
  expect(reports).toHaveLength(2);
  expect(reports[1]).toContain('fleet-leader.test.ts');
  expect(reports[1]).toContain('(and 4 more since the last report)');
  failure = null;
  await leader.round();
  expect(incidents.failures.get('planning')).toBe(6);
});
