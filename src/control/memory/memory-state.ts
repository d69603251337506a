import { check } from '../../config/check.ts';
import type { Clock } from '../../core/clock.ts';
import {
  type Assignment,
  assignment,
  type HostCard,
  hostCard,
  type Lease,
  type StreamOrder,
  streamOrder,
} from '../../protocol/fleet.ts';
import type { Beat, BeatReply, FleetSnapshot, FleetState } from '../control-plane.ts';
import { fleetErrors } from '../fleet-errors.ts';

interface LiveCard {
  readonly card: HostCard;
  readonly expiresMs: number;
}

/** The state of a fleet in the maps of one process, with the same rules as in Redis. */
export class MemoryState implements FleetState {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #cards = new Map<string, LiveCard>();
  readonly #draining = new Set<string>();
  readonly #orders = new Map<string, StreamOrder>();
  readonly #assignments = new Map<string, Assignment>();
  readonly #planRevisions = new Map<string, number>();
  readonly #leases = new Map<string, Lease>();
  #leader: { readonly hostId: string; readonly expiresMs: number } | null = null;
  #counter = 0;

  /** @param leaseMs - how long a card, leases and leadership last without a heartbeat. */
  constructor(options: { readonly clock: Clock; readonly leaseMs: number }) {
    this.#clock = options.clock;
    this.#leaseMs = options.leaseMs;
  }

  async beat({ card, held, planRevision }: Beat): Promise<BeatReply> {
    const parsed = check(hostCard, card, 'host card');
    const hostId = parsed.id;
    const nowMs = this.#nowMs();
    const known = this.#liveCard(hostId);
    if (known !== null && known.card.startedMs !== parsed.startedMs) throw fleetErrors.hostExists(hostId);
    const expiresMs = nowMs + this.#leaseMs;
    this.#cards.set(hostId, { card: parsed, expiresMs });
    const lost: string[] = [];
    for (const [streamId, fence] of held) {
      const lease = this.#liveLease(streamId);
      if (lease?.hostId === hostId && lease.fence === fence) this.#leases.set(streamId, { ...lease, expiresMs });
      else lost.push(streamId);
    }
    if (this.#leader === null || this.#leader.expiresMs <= nowMs || this.#leader.hostId === hostId)
      this.#leader = { hostId, expiresMs };
    const newest = this.#planRevisions.get(hostId) ?? 0;
    return {
      nowMs,
      lost,
      planRevision: newest,
      plan: newest === planRevision ? null : this.#planOf(hostId),
      isDraining: this.#draining.has(hostId),
      isLeader: this.#leader.hostId === hostId,
    };
  }

  async leave(hostId: string, startedMs: number): Promise<void> {
    const known = this.#liveCard(hostId);
    if (known !== null && known.card.startedMs !== startedMs) return;
    this.#cards.delete(hostId);
    this.#draining.delete(hostId);
    for (const [streamId, lease] of this.#leases) if (lease.hostId === hostId) this.#leases.delete(streamId);
    if (this.#leader?.hostId === hostId) this.#leader = null;
  }

  async claim(streamId: string, hostId: string): Promise<number | null> {
    if (!this.#orders.has(streamId)) throw fleetErrors.streamNotFound(streamId);
    const host = this.#liveCard(hostId);
    if (host === null) throw fleetErrors.hostNotFound(hostId);
    const current = this.#liveLease(streamId);
    if (current !== null && current.hostId !== hostId) return null;
    const fence = this.#nextNumber();
    this.#leases.set(streamId, { hostId, fence, expiresMs: host.expiresMs });
    return fence;
  }

  async release(streamId: string, hostId: string, fence: number): Promise<void> {
    const lease = this.#leases.get(streamId);
    if (lease?.hostId === hostId && lease.fence === fence) this.#leases.delete(streamId);
  }

  async snapshot(): Promise<FleetSnapshot> {
    const nowMs = this.#nowMs();
    for (const [hostId, { expiresMs }] of this.#cards) if (expiresMs <= nowMs) this.#cards.delete(hostId);
    return {
      nowMs,
      hosts: Array.from(this.#cards.values(), ({ card }) => card),
      draining: new Set(this.#draining),
      orders: [...this.#orders.values()],
      assignments: new Map(this.#assignments),
      leases: new Map(this.#leases),
    };
  }

  async leases(streamIds: readonly string[]): Promise<ReadonlyMap<string, Lease>> {
    return new Map([...this.#leases].filter(([streamId]) => streamIds.includes(streamId)));
  }

  async addOrder(order: StreamOrder): Promise<StreamOrder> {
    const parsed = check(streamOrder, order, 'stream order');
    if (this.#orders.has(parsed.id)) throw fleetErrors.streamExists(parsed.id);
    return this.#store(parsed);
  }

  async replaceOrder(order: StreamOrder): Promise<StreamOrder | null> {
    const parsed = check(streamOrder, order, 'stream order');
    const before = this.#orders.get(parsed.id);
    if (before === undefined) throw fleetErrors.streamNotFound(parsed.id);
    return before.revision === parsed.revision ? this.#store(parsed) : null;
  }

  async removeOrder(streamId: string): Promise<void> {
    if (!this.#orders.delete(streamId)) throw fleetErrors.streamNotFound(streamId);
    this.#changePlanOf(this.#assignments.get(streamId)?.hostId);
    this.#assignments.delete(streamId);
    this.#leases.delete(streamId);
  }

  async assign(leaderId: string, changes: ReadonlyMap<string, Assignment | null>): Promise<boolean> {
    const parsed = Array.from(
      changes,
      ([id, change]) => [id, change === null ? null : check(assignment, change, `assignment of "${id}"`)] as const,
    );
    if (this.#leader?.hostId !== leaderId || this.#leader.expiresMs <= this.#nowMs()) return false;
    for (const [streamId, change] of parsed) {
      if (!this.#orders.has(streamId)) continue;
      const before = this.#assignments.get(streamId);
      if (isSame(before, change)) continue;
      if (change === null) this.#assignments.delete(streamId);
      else this.#assignments.set(streamId, change);
      this.#changePlanOf(before?.hostId);
      if (change?.hostId !== before?.hostId) this.#changePlanOf(change?.hostId);
    }
    return true;
  }

  async setDraining(hostId: string, isDraining: boolean): Promise<void> {
    if (this.#liveCard(hostId) === null && !this.#draining.has(hostId)) throw fleetErrors.hostNotFound(hostId);
    if (isDraining) this.#draining.add(hostId);
    else this.#draining.delete(hostId);
  }

  #store(order: StreamOrder): StreamOrder {
    const stored = { ...order, revision: this.#nextNumber() };
    this.#orders.set(stored.id, stored);
    this.#changePlanOf(this.#assignments.get(stored.id)?.hostId);
    return stored;
  }

  #nowMs(): number {
    return Math.floor(this.#clock.now());
  }

  /**
   * Returns a number higher than all before, and, since it follows the time in microseconds, higher than those of an earlier
   * process: fences and revisions never repeat.
   */
  #nextNumber(): number {
    this.#counter = Math.max(this.#counter + 1, Math.floor(this.#clock.now() * 1000));
    return this.#counter;
  }

  #liveCard(hostId: string): LiveCard | null {
    const card = this.#cards.get(hostId);
    return card !== undefined && card.expiresMs > this.#nowMs() ? card : null;
  }

  #liveLease(streamId: string): Lease | null {
    const lease = this.#leases.get(streamId);
    return lease !== undefined && lease.expiresMs > this.#nowMs() ? lease : null;
  }

  #planOf(hostId: string): Map<string, { order: StreamOrder; assignment: Assignment }> {
    const plan = new Map<string, { order: StreamOrder; assignment: Assignment }>();
    for (const [streamId, given] of this.#assignments)
      if (given.hostId === hostId) plan.set(streamId, { order: this.#orders.get(streamId)!, assignment: given });
    return plan;
  }

  #changePlanOf(hostId: string | undefined): void {
    if (hostId !== undefined) this.#planRevisions.set(hostId, this.#nextNumber());
  }
}

function isSame(before: Assignment | undefined, after: Assignment | null): boolean {
  if (before === undefined || after === null) return before === undefined && after === null;
  return before.hostId === after.hostId && before.maxFps === after.maxFps && before.sinceMs === after.sinceMs;
}
