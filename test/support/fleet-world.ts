import type { FleetSnapshot, FleetState } from '../../src/fleet/control/control-plane.ts';
import { type FleetPlan, type PlanMemory, planFleet } from '../../src/fleet/control/planning/plan-fleet.ts';
import type { PlanOptions } from '../../src/fleet/control/planning/plan-options.ts';
import { demandFps } from '../../src/fleet/control/planning/stream-demand.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { Assignment, HostCard, StreamOrder } from '../../src/wire/protocol/fleet.ts';

export function hostCard(id: string, capacityFps: number, more: Partial<HostCard> = {}): HostCard {
  return {
    id,
    pipeline: 'street',
    model: 'fake 64x64',
    url: null,
    capacityFps,
    liveFps: 0,
    bulkFps: 0,
    streams: 0,
    segments: 0,
    startedMs: 0,
    version: '0.0.0',
    ...more,
  };
}

export function streamOrder(
  id: string,
  settings: Readonly<Record<string, unknown>> = {},
  more: Partial<StreamOrder> = {},
): StreamOrder {
  const config = parseStream({ id, source: `rtsp://camera.example/${id}`, ...settings }, {});
  return { id, pipeline: 'street', config, isPaused: false, wantedHost: null, createdMs: 0, revision: 1, ...more };
}

/** Replaces the stored order of a stream, whatever it is now. */
export async function changeOrder(state: FleetState, order: StreamOrder): Promise<StreamOrder> {
  const { orders } = await state.snapshot();
  const { revision } = orders.find(({ id }) => id === order.id) ?? order;
  const written = await state.replaceOrder({ ...order, revision });
  if (written === null) throw new Error(`another change of the order of ${order.id} came first`);
  return written;
}

/** A fleet that applies the planner's changes at once; the test changes it and advances time. */
export class FleetWorld {
  readonly hosts = new Map<string, HostCard>();
  readonly orders = new Map<string, StreamOrder>();
  readonly draining = new Set<string>();
  readonly assignments = new Map<string, Assignment>();
  readonly #options: PlanOptions;
  memory: PlanMemory | null = null;
  nowMs = 1_700_000_000_000;

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  addHosts(...hosts: readonly HostCard[]): this {
    for (const host of hosts) this.hosts.set(host.id, host);
    return this;
  }

  addOrders(...orders: readonly StreamOrder[]): this {
    for (const order of orders) this.orders.set(order.id, order);
    return this;
  }

  snapshot(): FleetSnapshot {
    return {
      nowMs: this.nowMs,
      hosts: [...this.hosts.values()],
      draining: this.draining,
      orders: [...this.orders.values()],
      assignments: this.assignments,
      leases: new Map(),
    };
  }

  /** One round: plans and writes the changes. */
  plan(): FleetPlan {
    const plan = planFleet(this.snapshot(), this.memory, this.#options);
    this.memory = plan.memory;
    for (const [id, next] of plan.changes) {
      if (next === null) this.assignments.delete(id);
      else this.assignments.set(id, next);
    }
    return plan;
  }

  /** Runs rounds a second apart. @returns the last plan. */
  pass(seconds: number): FleetPlan {
    for (let i = 1; i < seconds; i++) {
      this.nowMs += 1000;
      this.plan();
    }
    this.nowMs += 1000;
    return this.plan();
  }

  hostOf(id: string): string | null {
    return this.assignments.get(id)?.hostId ?? null;
  }

  /** Inferences a second that a stream may use now; 0 if it has no host. */
  rateOf(id: string): number {
    const assignment = this.assignments.get(id);
    return assignment === undefined ? 0 : (assignment.maxFps ?? demandFps(this.orders.get(id)!.config));
  }

  /** Inferences a second of the streams of a host. */
  loadOf(hostId: string): number {
    return [...this.assignments].reduce((sum, [id, one]) => (one.hostId === hostId ? sum + this.rateOf(id) : sum), 0);
  }
}
