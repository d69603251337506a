import { z } from 'zod';
import { check } from '../../config/check.ts';
import { counted } from '../../core/counted.ts';
import type { Incidents } from '../../flow/incidents.ts';
import {
  type Assignment,
  assignment,
  hostCard,
  type Lease,
  lease,
  type StreamOrder,
  streamOrder,
} from '../../protocol/fleet.ts';
import type { Beat, BeatReply, FleetAlarm, FleetSnapshot, FleetState } from '../control-plane.ts';
import { fleetErrors } from '../fleet-errors.ts';
import type { Notices } from '../notices.ts';
import type { RedisConnection } from './connect.ts';
import { EntryReader } from './entry-reader.ts';
import type { FleetSigner } from './fleet-signer.ts';
import { HashReader } from './hash-reader.ts';
import { RESTORE_WINDOW_MS, stateScripts } from './state-scripts.ts';

const cardEntry = z.object({ expiresMs: z.number(), card: hostCard });

type BeatAnswer =
  | ['host-exists']
  | [
      'ok',
      nowMs: number,
      lost: string[],
      revision: number,
      isDraining: number,
      isLeader: number,
      plan: string[] | null,
    ];
type SnapshotAnswer = [
  nowMs: number,
  hosts: string[],
  draining: string[],
  assignments: string[],
  leases: string[],
  epoch: string,
  ordersRevision: number,
  orders: string[] | null,
];

interface KnownOrders {
  /** Of the state that they were read from; null: none was read yet. */
  readonly epoch: string | null;
  readonly revision: number;
  readonly orders: readonly StreamOrder[];
}

/** Returns whether Redis has lost what this host knew: another epoch, or an older copy of the orders. */
function isLost(known: KnownOrders, epoch: string, revision: number): boolean {
  return known.epoch !== null && (epoch !== known.epoch || revision < known.revision);
}

/** Orders written back in one call, which blocks Redis. */
const RESTORED_AT_ONCE = 200;

/** The state of a fleet in Redis. Every call is one script: one round trip, and atomic. */
export class RedisState implements FleetState {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #leaseMs: number;
  readonly #signer: FleetSigner | null;
  readonly #entries: EntryReader;
  readonly #cards: HashReader<typeof cardEntry>;
  readonly #orders: HashReader<typeof streamOrder>;
  readonly #assignments: HashReader<typeof assignment>;
  readonly #leases: HashReader<typeof lease>;
  readonly #onAlarm: (alarm: FleetAlarm) => void;
  readonly #planOrders: HashReader<typeof streamOrder>;
  readonly #planAssignments: HashReader<typeof assignment>;
  /** Orders are the large part of a snapshot and rarely change, so they are fetched only after a change. */
  #known: KnownOrders = { epoch: null, revision: -1, orders: [] };
  #draining: ReadonlySet<string> = new Set();
  /** What this host knew when the state was lost, until it is written back. */
  #lost: { readonly orders: readonly StreamOrder[]; readonly draining: ReadonlySet<string> } | null = null;

  /**
   * @param prefix - of every key, with its hash tag.
   * @param leaseMs - how long a card, leases and leadership last without a heartbeat.
   */
  constructor(options: {
    readonly connection: RedisConnection;
    readonly prefix: string;
    readonly leaseMs: number;
    readonly notices: Notices;
    readonly incidents?: Incidents | undefined;
    /** Signs and checks records; null or absent: they are not signed. */
    readonly signer?: FleetSigner | null;
    /** Called when Redis has lost the state. */
    readonly onAlarm?: (alarm: FleetAlarm) => void;
  }) {
    this.#connection = options.connection;
    this.#prefix = options.prefix;
    this.#leaseMs = options.leaseMs;
    this.#signer = options.signer ?? null;
    this.#onAlarm = options.onAlarm ?? (() => {});
    const entries = new EntryReader(options.notices, options.incidents, this.#signer);
    this.#entries = entries;
    this.#cards = new HashReader(entries, cardEntry, 'host', { kind: 'host', part: 'card' });
    this.#orders = new HashReader(entries, streamOrder, 'stream order', { kind: 'order' });
    this.#assignments = new HashReader(entries, assignment, 'assignment of', { kind: 'assignment' });
    this.#leases = new HashReader(entries, lease, 'lease of', null);
    this.#planOrders = new HashReader(entries, streamOrder, 'stream order', { kind: 'order' });
    this.#planAssignments = new HashReader(entries, assignment, 'assignment of', { kind: 'assignment' });
  }

  async beat({ card, held, planRevision }: Beat): Promise<BeatReply> {
    const parsed = check(hostCard, card, 'host card');
    const answer = (await this.#run('beat', [
      parsed.id,
      parsed.startedMs,
      this.#json(`host:${parsed.id}`, parsed),
      this.#leaseMs,
      planRevision,
      ...Array.from(held, ([streamId, fence]) => [streamId, fence]).flat(),
    ])) as BeatAnswer;
    if (answer[0] === 'host-exists') throw fleetErrors.hostExists(parsed.id);
    const [, nowMs, lost, revision, isDraining, isLeader, plan] = answer;
    return {
      nowMs,
      lost,
      planRevision: revision,
      plan: plan === null ? null : await this.#readPlan(plan),
      isDraining: isDraining === 1,
      isLeader: isLeader === 1,
    };
  }

  async leave(hostId: string, startedMs: number): Promise<void> {
    await this.#run('leave', [hostId, startedMs]);
  }

  async claim(streamId: string, hostId: string): Promise<number | null> {
    const answer = (await this.#run('claim', [streamId, hostId])) as number | 'stream-not-found' | 'host-not-found';
    if (answer === 'stream-not-found') throw fleetErrors.streamNotFound(streamId);
    if (answer === 'host-not-found') throw fleetErrors.hostNotFound(hostId);
    return answer === 0 ? null : answer;
  }

  async release(streamId: string, hostId: string, fence: number): Promise<void> {
    await this.#run('release', [streamId, hostId, fence]);
  }

  async snapshot(): Promise<FleetSnapshot> {
    let known = this.#known;
    const [nowMs, hosts, draining, assignments, leases, epoch, revision, orders] = (await this.#run('snapshot', [
      known.revision,
    ])) as SnapshotAnswer;
    if (this.#lost === null && isLost(known, epoch, revision)) this.#noteLoss(known, epoch, nowMs);
    if (this.#lost !== null) {
      await this.#restore(this.#lost);
      this.#lost = null;
      this.#known = { epoch, revision: -1, orders: [] };
      return this.snapshot();
    }
    this.#draining = new Set(draining);
    if (orders !== null) {
      known = { epoch, revision, orders: [...(await this.#orders.read(orders)).values()] };
      this.#known = known;
      for (const order of known.orders) {
        // Another host may do the same: only the first one replaces this revision.
        if (this.#entries.takeOutdated(`order:${order.id}`)) this.replaceOrder(order).catch(() => undefined);
      }
    }
    return {
      nowMs,
      hosts: Array.from((await this.#cards.read(hosts)).values(), ({ card }) => card),
      draining: this.#draining,
      orders: known.orders,
      assignments: await this.#assignments.read(assignments),
      leases: await this.#leases.read(leases),
    };
  }

  async leases(streamIds: readonly string[]): Promise<ReadonlyMap<string, Lease>> {
    if (streamIds.length === 0) return new Map();
    const texts = await this.#connection.call((client) => client.hmget(`${this.#prefix}:leases`, ...streamIds));
    const found = new Map<string, Lease>();
    for (const [i, streamId] of streamIds.entries()) {
      const text = texts[i] ?? null;
      const read = text === null ? null : this.#entries.read(lease, text, `lease of "${streamId}"`, null);
      if (read !== null) found.set(streamId, read);
    }
    return found;
  }

  async addOrder(order: StreamOrder): Promise<StreamOrder> {
    const { revision: _, ...parsed } = check(streamOrder, order, 'stream order');
    const revision = (await this.#run('addOrder', [parsed.id, this.#json(`order:${parsed.id}`, parsed)])) as number;
    if (revision === 0) throw fleetErrors.streamExists(parsed.id);
    return { ...parsed, revision };
  }

  async replaceOrder(order: StreamOrder): Promise<StreamOrder | null> {
    const { revision: base, ...parsed } = check(streamOrder, order, 'stream order');
    const args = [parsed.id, this.#json(`order:${parsed.id}`, parsed), base];
    const revision = (await this.#run('replaceOrder', args)) as number | 'changed';
    if (revision === 0) throw fleetErrors.streamNotFound(parsed.id);
    return revision === 'changed' ? null : { ...parsed, revision };
  }

  async removeOrder(streamId: string): Promise<void> {
    if ((await this.#run('removeOrder', [streamId])) === 0) throw fleetErrors.streamNotFound(streamId);
  }

  async assign(leaderId: string, changes: ReadonlyMap<string, Assignment | null>): Promise<boolean> {
    const args = Array.from(changes, ([streamId, change]) => {
      if (change === null) return [streamId, '', ''];
      // The check also sorts the keys: the script compares texts.
      const parsed = check(assignment, change, `assignment of "${streamId}"`);
      return [streamId, parsed.hostId, this.#json(`assignment:${streamId}`, parsed)];
    });
    return (await this.#run('assign', [leaderId, ...args.flat()])) === 1;
  }

  async setDraining(hostId: string, isDraining: boolean): Promise<void> {
    if ((await this.#run('setDraining', [hostId, isDraining ? 1 : 0])) === 0) throw fleetErrors.hostNotFound(hostId);
  }

  /** Why hosts should not count as ready; null if nothing is wrong. */
  get trouble(): string | null {
    if (this.#lost === null) return null;
    const count = this.#lost.orders.length;
    return `the state of the fleet was lost; ${counted(count, 'stream')} ${count === 1 ? 'is' : 'are'} not written back yet`;
  }

  #noteLoss({ orders, epoch: before }: KnownOrders, epoch: string, nowMs: number): void {
    // An epoch is a time in microseconds.
    const isLate = epoch !== before && nowMs - Number(epoch) / 1000 > RESTORE_WINDOW_MS;
    const what =
      epoch === before ? 'an older copy of the state of the fleet was loaded' : 'the state of the fleet was lost';
    this.#lost = { orders: isLate ? [] : orders, draining: isLate ? new Set() : this.#draining };
    const then = isLate
      ? 'this host writes nothing back, because others may have changed it since'
      : `this host writes ${counted(orders.length, 'stream')} back; bulk jobs that were not done must be submitted again`;
    this.#onAlarm({
      kind: 'fleet-state-lost',
      message: `${what}: ${then}`,
      details: { streams: this.#lost.orders.length },
    });
  }

  async #restore({
    orders,
    draining,
  }: {
    orders: readonly StreamOrder[];
    draining: ReadonlySet<string>;
  }): Promise<void> {
    for (let at = 0; at === 0 || at < orders.length; at += RESTORED_AT_ONCE) {
      const some = orders.slice(at, at + RESTORED_AT_ONCE).flatMap(({ revision, ...order }) => {
        return [order.id, this.#json(`order:${order.id}`, order), revision];
      });
      await this.#run('restore', [draining.size, ...draining, ...some]);
    }
  }

  #json(place: string, record: object): string {
    return JSON.stringify(this.#signer === null ? record : this.#signer.sign(place, record));
  }

  #run(name: keyof typeof stateScripts, args: readonly (string | number)[]): Promise<unknown> {
    return this.#connection.call((client) => stateScripts[name].run(client, this.#prefix, args));
  }

  /** @param flat - stream, order, assignment, stream ... */
  async #readPlan(flat: readonly string[]): Promise<Map<string, { order: StreamOrder; assignment: Assignment }>> {
    const column = (at: number) => flat.flatMap((name, i) => (i % 3 === 0 ? [name, flat[i + at]!] : []));
    const orders = await this.#planOrders.read(column(1));
    const assignments = await this.#planAssignments.read(column(2));
    const plan = new Map<string, { order: StreamOrder; assignment: Assignment }>();
    for (const [streamId, order] of orders) {
      const given = assignments.get(streamId);
      if (given !== undefined) plan.set(streamId, { order, assignment: given });
    }
    return plan;
  }
}
