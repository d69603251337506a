import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PLAN_DEFAULTS, type PlanOptions } from '../../../../../src/fleet/control/planning/plan-options.ts';
import type { StreamOrder } from '../../../../../src/wire/protocol/fleet.ts';
import { FleetWorld, hostCard, streamOrder } from '../../../../support/fleet-world.ts';

const FILL = 0.8;
const OPTIONS: PlanOptions = { ...PLAN_DEFAULTS, fillRatio: FILL, movesPerSecond: 3, settleMs: 0 };
/** Long enough for any of these fleets to place everything, restore rates and balance load. */
const LONG_S = 400;
const HOSTS = ['a', 'b', 'c', 'd'];
const STREAMS = Array.from({ length: 14 }, (_, i) => `s${i}`);

/** Everything that can happen to a fleet. */
const step = fc.oneof(
  fc.record({
    kind: fc.constant('host' as const),
    id: fc.constantFrom(...HOSTS),
    fps: fc.integer({ min: 5, max: 120 }),
  }),
  fc.record({ kind: fc.constant('lose' as const), id: fc.constantFrom(...HOSTS) }),
  fc.record({ kind: fc.constant('drain' as const), id: fc.constantFrom(...HOSTS), isDraining: fc.boolean() }),
  fc.record({
    kind: fc.constant('stream' as const),
    id: fc.constantFrom(...STREAMS),
    fps: fc.integer({ min: 1, max: 60 }),
    priority: fc.integer({ min: 0, max: 3 }),
    wanted: fc.option(fc.constantFrom(...HOSTS), { freq: 6 }),
    isPaused: fc.boolean().map((paused) => paused),
  }),
  fc.record({ kind: fc.constant('remove' as const), id: fc.constantFrom(...STREAMS) }),
  fc.record({ kind: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 15 }) }),
  fc.record({ kind: fc.constant('new-leader' as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function apply(fleet: FleetWorld, event: Step): void {
  switch (event.kind) {
    case 'host':
      fleet.addHosts(hostCard(event.id, event.fps));
      break;
    case 'lose':
      fleet.hosts.delete(event.id);
      break;
    case 'drain':
      if (event.isDraining) fleet.draining.add(event.id);
      else fleet.draining.delete(event.id);
      break;
    case 'stream': {
      const settings = { maxFps: event.fps, priority: event.priority };
      const more = { wantedHost: event.wanted, isPaused: event.isPaused && event.fps % 4 === 0 };
      fleet.addOrders(streamOrder(event.id, settings, more));
      break;
    }
    case 'remove':
      fleet.orders.delete(event.id);
      break;
    case 'new-leader':
      fleet.memory = null;
      break;
    case 'wait':
      break;
  }
}

const history = fc.array(step, { minLength: 5, maxLength: 40 });

interface Held {
  readonly hostId: string;
  readonly order: StreamOrder | undefined;
  readonly fps: number;
  readonly wantFps: number;
}

/** Runs a history of events, and checks after every round. */
function live(
  steps: readonly Step[],
  look: (fleet: FleetWorld, before: ReadonlyMap<string, Held>) => void,
): FleetWorld {
  const fleet = new FleetWorld(OPTIONS);
  let held: ReadonlyMap<string, Held> = new Map();
  const round = (): void => {
    const before = held;
    fleet.nowMs += 1000;
    fleet.plan();
    look(fleet, before);
    held = new Map([...fleet.assignments].map(([id, { hostId }]) => [id, heldBy(fleet, id, hostId)]));
  };
  for (const event of steps) {
    apply(fleet, event);
    for (let i = 0; i < (event.kind === 'wait' ? event.seconds : 1); i++) round();
  }
  return fleet;
}

function heldBy(fleet: FleetWorld, id: string, hostId: string): Held {
  return { hostId, order: fleet.orders.get(id), fps: fleet.rateOf(id), wantFps: wants(fleet, id) };
}

/** Inferences a second that a stream wants, at most what the largest ready host has. */
function wants(fleet: FleetWorld, id: string): number {
  const largest = Math.max(
    ...[...fleet.hosts.values()]
      .filter((host) => !fleet.draining.has(host.id))
      .map(({ capacityFps }) => capacityFps * FILL),
  );
  return Math.min(fleet.orders.get(id)!.config.maxFps!, Math.floor(largest * 100 + 1e-6) / 100);
}

const RUNS = { numRuns: 300 };

describe('whatever happens to a fleet', () => {
  it('no host gets a stream or a rate that would take it above its share', () => {
    fc.assert(
      fc.property(history, (steps) => {
        live(steps, (fleet, before) => {
          const gained = [...fleet.assignments].filter(([id, { hostId }]) => {
            const held = before.get(id);
            if (held?.hostId !== hostId) return true;
            // An operator's change applies at once, and so does lifting a cap that existed only because every host was small.
            const isOwn = held.order === fleet.orders.get(id) && held.wantFps === wants(fleet, id);
            return isOwn && held.fps < fleet.rateOf(id);
          });
          for (const hostId of new Set(gained.map(([, { hostId }]) => hostId)))
            expect(fleet.loadOf(hostId)).toBeLessThanOrEqual(fleet.hosts.get(hostId)!.capacityFps * FILL + 1e-6);
        });
      }),
      RUNS,
    );
  });

  it('streams go only to ready hosts, and no more of them in a second than allowed', () => {
    fc.assert(
      fc.property(history, (steps) => {
        let [moves, seconds] = [0, 0];
        const fleet = live(steps, (world, before) => {
          seconds = world.memory!.startedMs === world.nowMs ? 0 : seconds + 1;
          const gained = [...world.assignments].filter(([id, { hostId }]) => before.get(id)?.hostId !== hostId);
          moves = seconds === 0 ? gained.length : moves + gained.length;
          expect(moves).toBeLessThanOrEqual((seconds + 1) * OPTIONS.movesPerSecond);
          for (const [, { hostId }] of gained) {
            expect(world.hosts.has(hostId)).toBe(true);
            expect(world.draining.has(hostId)).toBe(false);
          }
        });
        for (const [id, order] of fleet.orders) if (order.isPaused) expect(fleet.hostOf(id)).toBeNull();
      }),
      RUNS,
    );
  });

  it('no stream is reduced while one of lower priority is above its floor', () => {
    fc.assert(
      fc.property(history, (steps) => {
        live(steps, (fleet) => {
          const ready = [...fleet.hosts.keys()].some((id) => !fleet.draining.has(id));
          if (!ready) return;
          for (const held of fleet.assignments.keys()) {
            if (fleet.rateOf(held) >= wants(fleet, held) - 0.011) continue;
            for (const lower of fleet.assignments.keys()) {
              if (fleet.orders.get(lower)!.config.priority >= fleet.orders.get(held)!.config.priority) continue;
              expect(fleet.rateOf(lower)).toBeLessThanOrEqual(Math.max(1, wants(fleet, lower) / 10) + 1e-6);
            }
          }
        });
      }),
      RUNS,
    );
  });

  it('it settles within its capacity, and refuses only if all streams are at their floor', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const fleet = live(steps, () => undefined);
        fleet.pass(LONG_S);
        for (let i = 0; i < 60; i++) expect([...fleet.pass(1).changes]).toEqual([]);
        for (const { id, capacityFps } of fleet.hosts.values())
          expect(fleet.loadOf(id)).toBeLessThanOrEqual(capacityFps * FILL + 1e-6);
        for (const id of fleet.draining) expect(fleet.loadOf(id)).toBe(0);
        const active = [...fleet.orders.values()].filter(({ isPaused }) => !isPaused);
        if (active.every(({ id }) => fleet.hostOf(id) !== null)) return;
        for (const id of fleet.assignments.keys())
          expect(fleet.rateOf(id)).toBeLessThanOrEqual(Math.max(1, wants(fleet, id) / 10) + 1e-6);
      }),
      RUNS,
    );
  });

  it('planning twice gives the same plan', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const [one, two] = [live(steps, () => undefined), live(steps, () => undefined)];
        expect([...one.assignments]).toEqual([...two.assignments]);
      }),
      { numRuns: 50 },
    );
  });
});
