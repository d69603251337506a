import { z } from 'zod';
import { counted } from '../../../base/core/counted.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import {
  type Assignment,
  assignment,
  hostCard,
  type Lease,
  lease,
  type StreamOrder,
  streamOrder,
} from '../../../wire/protocol/fleet.ts';
import type { Beat, BeatReply, FleetAlarm, FleetSnapshot, FleetState } from '../control-plane.ts';
import { EntryReader, type StoreOptions } from '../store/entry-reader.ts';
import { type FleetSigner, signedJson } from '../store/fleet-signer.ts';
import { type FleetStore, NUMBER, type Write } from '../store/fleet-store.ts';
import { HashReader } from '../store/hash-reader.ts';
import { decoded, numbered, pairs, type Transaction, transact } from '../store/transaction.ts';

/** For this long after the state was lost, hosts write back the orders that they know; a host that comes later might bring back old ones. */
const RESTORE_WINDOW_MS = 60_000;
/** A host whose plan's revision is missing or differs gets its whole plan again. */
const PLAN_REVISION_MS = 86_400_000;
/** Orders written back in one transaction, which blocks Redis. */
const RESTORED_AT_ONCE = 200;

const fleetErrors = {
  streamExists: (id: string) =>
    new SightlineError(
      'STREAM_EXISTS',
      `stream "${id}": the fleet already has a stream with this id; choose another id, or remove it`,
      { id },
    ),
  streamNotFound: (id: string) =>
    new SightlineError('STREAM_NOT_FOUND', `stream "${id}": the fleet has no stream with this id`, { id }),
  hostNotFound: (id: string) => new SightlineError('HOST_NOT_FOUND', `host "${id}": no live host has this id`, { id }),
  hostExists: (id: string) =>
    new SightlineError(
      'HOST_EXISTS',
      `host "${id}": another live process has this id; give each host its own fleet.hostId. After a crash the id is ` +
        'free again after leaseMs',
      { id },
    ),
};

const cardEntry = z.object({ expiresMs: z.number(), card: hostCard });

interface KnownOrders {
  /** Of the state that they were read from; null: none was read yet. */
  readonly epoch: string | null;
  readonly revision: number;
  readonly orders: readonly StreamOrder[];
}

/** What this host knew when the state was lost, until it is written back. */
interface LostState {
  readonly orders: readonly StreamOrder[];
  readonly draining: ReadonlySet<string>;
}

/** Returns whether the store has lost what this host knew: another epoch, or an older copy of the orders. */
function isLost(known: KnownOrders, epoch: string, revision: number): boolean {
  return known.epoch !== null && (epoch !== known.epoch || revision < known.revision);
}

/** The rules of a fleet's state, over the store that keeps it. */
export class StoredState implements FleetState {
  readonly #store: FleetStore;
  readonly #leaseMs: number;
  readonly #signer: FleetSigner | null;
  readonly #entries: EntryReader;
  readonly #cards: HashReader<typeof cardEntry>;
  readonly #orders: HashReader<typeof streamOrder>;
  readonly #assignments: HashReader<typeof assignment>;
  readonly #leases: HashReader<typeof lease>;
  readonly #planOrders: HashReader<typeof streamOrder>;
  readonly #planAssignments: HashReader<typeof assignment>;
  readonly #onAlarm: (alarm: FleetAlarm) => void;
  /** Orders are the large part of a snapshot and rarely change, so they are fetched only after a change. */
  #known: KnownOrders = { epoch: null, revision: -1, orders: [] };
  #draining: ReadonlySet<string> = new Set();
  #lost: LostState | null = null;

  /** @param leaseMs - how long a card, leases and leadership last without a heartbeat. */
  constructor(
    options: StoreOptions & {
      readonly leaseMs: number;
      /** Called when the store has lost the state. */
      readonly onAlarm?: (alarm: FleetAlarm) => void;
    },
  ) {
    this.#store = options.store;
    this.#leaseMs = options.leaseMs;
    this.#signer = options.signer ?? null;
    this.#onAlarm = options.onAlarm ?? (() => {});
    const entries = new EntryReader(options.incidents, this.#signer);
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
    const hostId = parsed.id;
    const signed = this.#json(`host:${hostId}`, parsed);
    const streams = [...held.keys()];
    const reply = await transact(this.#store, async (transaction) => {
      const [known, leader, revision, isDraining, leases, left] = await transaction.read(
        ['HGET', 'hosts', hostId],
        ['GET', 'leader'],
        ['GET', `plan:${hostId}`],
        ['SISMEMBER', 'draining', hostId],
        ['HMGET', 'leases', ...streams],
        ['HGETALL', 'ending'],
      );
      if (isOfAnother(transaction, known, parsed.startedMs)) throw fleetErrors.hostExists(hostId);
      const { nowMs } = transaction;
      const expiresMs = nowMs + this.#leaseMs;
      const writes: Write[] = [['HSET', 'hosts', hostId, `{"expiresMs":${expiresMs},"card":${signed}}`]];
      const lost: string[] = [];
      const renewed: string[] = [];
      for (const [i, streamId] of streams.entries()) {
        const current = transaction.unexpired(leases[i]!);
        const fence = held.get(streamId)!;
        if (current?.hostId !== hostId || current.fence !== fence) lost.push(streamId);
        else renewed.push(streamId, JSON.stringify({ hostId, fence, expiresMs }));
      }
      if (renewed.length > 0) writes.push(['HSET', 'leases', ...renewed]);
      const leading = transaction.unexpired(leader);
      const isLeader = leading === null || leading.hostId === hostId;
      if (isLeader) writes.push(['SET', 'leader', JSON.stringify({ hostId, expiresMs })]);
      await transaction.commit(writes);
      const ending = Array.from(pairs(left)).flatMap(([id, pipeline]) => (pipeline === parsed.pipeline ? [id] : []));
      return { nowMs, lost, planRevision: Number(revision) || 0, isDraining: isDraining === 1, isLeader, ending };
    });
    return { ...reply, plan: reply.planRevision === planRevision ? null : await this.#planOf(hostId) };
  }

  async leave(hostId: string, startedMs: number): Promise<void> {
    await transact(this.#store, async (transaction) => {
      const [card, leader, leases] = await transaction.read(
        ['HGET', 'hosts', hostId],
        ['GET', 'leader'],
        ['HGETALL', 'leases'],
      );
      if (isOfAnother(transaction, card, startedMs)) return;
      const writes: Write[] = [
        ['HDEL', 'hosts', hostId],
        ['SREM', 'draining', hostId],
      ];
      if (transaction.unexpired(leader)?.hostId === hostId) writes.push(['DEL', 'leader']);
      for (const [streamId, text] of pairs(leases)) {
        if (decoded(text)?.hostId !== hostId) continue;
        transaction.guard(['HGET', 'leases', streamId], text);
        writes.push(['HDEL', 'leases', streamId]);
      }
      await transaction.commit(writes);
    });
  }

  claim(streamId: string, hostId: string): Promise<number | null> {
    return transact(this.#store, async (transaction) => {
      const [isOrdered, isEnding, card, current] = await transaction.read(
        ['HEXISTS', 'orders', streamId],
        ['HEXISTS', 'ending', streamId],
        ['HGET', 'hosts', hostId],
        ['HGET', 'leases', streamId],
      );
      if (isOrdered === 0 && isEnding === 0) throw fleetErrors.streamNotFound(streamId);
      const host = liveCard(transaction, card);
      if (host === null) throw fleetErrors.hostNotFound(hostId);
      const holder = transaction.unexpired(current);
      if (holder !== null && holder.hostId !== hostId) return null;
      const text = numbered(JSON.stringify({ hostId, expiresMs: host.expiresMs }), 'fence');
      return transaction.commit([['HSET', 'leases', streamId, text]]);
    });
  }

  async release(streamId: string, hostId: string, fence: number): Promise<void> {
    await transact(this.#store, async (transaction) => {
      const [text, hasEvents] = await transaction.read(['HGET', 'leases', streamId], ['EXISTS', `events:${streamId}`]);
      const current = decoded(text);
      if (current?.hostId !== hostId || current.fence !== fence) return;
      const writes: Write[] = [['HDEL', 'leases', streamId]];
      if (hasEvents === 0) writes.push(['HDEL', 'ending', streamId]);
      await transaction.commit(writes);
    });
  }

  async snapshot(): Promise<FleetSnapshot> {
    let known = this.#known;
    const { nowMs, hosts, draining, assignments, leases, epoch, revision, orders } = await this.#readAll(
      known.revision,
    );
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
    const cards = Array.from((await this.#cards.read(hosts)).values(), ({ card }) => card);
    return {
      nowMs,
      hosts: cards,
      draining: new Set([...draining, ...cards.flatMap(({ id, isLeaving }) => (isLeaving === true ? [id] : []))]),
      orders: known.orders,
      assignments: await this.#assignments.read(assignments),
      leases: await this.#leases.read(leases),
    };
  }

  async leases(streamIds: readonly string[]): Promise<ReadonlyMap<string, Lease>> {
    if (streamIds.length === 0) return new Map();
    const { replies } = await this.#store.read([['HMGET', 'leases', ...streamIds]]);
    const found = new Map<string, Lease>();
    for (const [i, streamId] of streamIds.entries()) {
      const text = replies[0][i]!;
      const read = text === null ? null : this.#entries.read(lease, text, `lease of "${streamId}"`, null);
      if (read !== null) found.set(streamId, read);
    }
    return found;
  }

  async addOrder(order: StreamOrder): Promise<StreamOrder> {
    const { revision: _, ...parsed } = check(streamOrder, order, 'stream order');
    return transact(this.#store, async (transaction) => {
      const [isKnown, given] = await transaction.read(
        ['HEXISTS', 'orders', parsed.id],
        ['HGET', 'assignments', parsed.id],
      );
      if (isKnown === 1) throw fleetErrors.streamExists(parsed.id);
      return { ...parsed, revision: await transaction.commit(this.#orderWrites(parsed, given)) };
    });
  }

  async replaceOrder(order: StreamOrder): Promise<StreamOrder | null> {
    const { revision: base, ...parsed } = check(streamOrder, order, 'stream order');
    return transact(this.#store, async (transaction) => {
      const [text, given] = await transaction.read(['HGET', 'orders', parsed.id], ['HGET', 'assignments', parsed.id]);
      if (text === null) throw fleetErrors.streamNotFound(parsed.id);
      const stored = revisionOf(text);
      if (stored !== null && stored !== base) return null;
      return { ...parsed, revision: await transaction.commit(this.#orderWrites(parsed, given)) };
    });
  }

  async removeOrder(streamId: string): Promise<void> {
    await transact(this.#store, async (transaction) => {
      const [order, given, hasEvents] = await transaction.read(
        ['HGET', 'orders', streamId],
        ['HGET', 'assignments', streamId],
        ['EXISTS', `events:${streamId}`],
      );
      if (order === null) throw fleetErrors.streamNotFound(streamId);
      const pipeline = String(decoded(order)?.pipeline);
      await transaction.commit([
        ['HDEL', 'orders', streamId],
        ['SET', 'orders-revision', NUMBER],
        ...unassignment(streamId, given),
        ...changedPlans([assignedHost(given)]),
        hasEvents === 0 ? ['HDEL', 'leases', streamId] : ['HSET', 'ending', streamId, pipeline],
        ['SET', `removed:${streamId}`, 1, 'PX', RESTORE_WINDOW_MS],
      ]);
    });
  }

  async assign(leaderId: string, changes: ReadonlyMap<string, Assignment | null>): Promise<boolean> {
    // The check also sorts the keys: texts are compared.
    const wanted = Array.from(changes, ([streamId, change]) => {
      if (change === null) return { streamId, hostId: null, text: null };
      const parsed = check(assignment, change, `assignment of "${streamId}"`);
      return { streamId, hostId: parsed.hostId, text: this.#json(`assignment:${streamId}`, parsed) };
    });
    return transact(this.#store, async (transaction) => {
      const replies = await transaction.read(
        ['GET', 'leader'],
        ...wanted.map(({ streamId }) => ['HEXISTS', 'orders', streamId] as const),
        ...wanted.map(({ streamId }) => ['HGET', 'assignments', streamId] as const),
      );
      if (transaction.unexpired(replies[0])?.hostId !== leaderId) return false;
      const writes: Write[] = [];
      const changed = new Set<string | null>();
      for (const [i, { streamId, hostId, text }] of wanted.entries()) {
        const before = replies[1 + wanted.length + i] as string | null;
        if (replies[1 + i] === 0 || before === text) continue;
        const hostBefore = assignedHost(before);
        if (hostBefore !== hostId) writes.push(...unassignment(streamId, before));
        if (hostId !== null)
          writes.push(['HSET', 'assignments', streamId, text], ['SADD', `assigned:${hostId}`, streamId]);
        changed.add(hostBefore).add(hostId);
      }
      if (writes.length > 0) await transaction.commit([...writes, ...changedPlans([...changed])]);
      return true;
    });
  }

  async setDraining(hostId: string, isDraining: boolean): Promise<void> {
    await transact(this.#store, async (transaction) => {
      const [card, isMarked] = await transaction.read(['HGET', 'hosts', hostId], ['SISMEMBER', 'draining', hostId]);
      if (liveCard(transaction, card) === null && isMarked === 0) throw fleetErrors.hostNotFound(hostId);
      await transaction.commit([[isDraining ? 'SADD' : 'SREM', 'draining', hostId]]);
    });
  }

  /** Why hosts should not count as ready; null if nothing is wrong. */
  get trouble(): string | null {
    if (this.#lost === null) return null;
    const count = this.#lost.orders.length;
    return `the state of the fleet was lost; ${counted(count, 'stream')} ${count === 1 ? 'is' : 'are'} not written back yet`;
  }

  /**
   * Reads the whole state at one moment, and removes the cards of hosts that have expired.
   *
   * @param knownRevision - of the orders that this host has; the reply omits them while it is current.
   */
  #readAll(knownRevision: number) {
    return transact(this.#store, async (transaction) => {
      const [epoch, revisionText, hosts, draining, assignments, leases] = await transaction.read(
        ['GET', 'epoch'],
        ['GET', 'orders-revision'],
        ['HGETALL', 'hosts'],
        ['SMEMBERS', 'draining'],
        ['HGETALL', 'assignments'],
        ['HGETALL', 'leases'],
      );
      const revision = Number(revisionText) || 0;
      const [orders] = revision === knownRevision ? [null] : await transaction.read(['HGETALL', 'orders']);
      const writes: Write[] = [];
      // It changes only if the store lost its data, or another copy of them was loaded.
      if (epoch === null) writes.push(['SET', 'epoch', NUMBER]);
      const alive: string[] = [];
      for (const [hostId, text] of pairs(hosts)) {
        if (transaction.unexpired(text) !== null) alive.push(hostId, text);
        else {
          transaction.guard(['HGET', 'hosts', hostId], text);
          writes.push(['HDEL', 'hosts', hostId]);
        }
      }
      // Without writes it makes sure that the orders are those of the revision.
      const number = writes.length > 0 || orders !== null ? await transaction.commit(writes) : 0;
      const { nowMs } = transaction;
      return { nowMs, hosts: alive, draining, assignments, leases, epoch: epoch ?? String(number), revision, orders };
    });
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

  /** Writes back the marks, and the orders that are missing or older. */
  async #restore({ orders, draining }: LostState): Promise<void> {
    const marks = Array.from(draining, (hostId): Write => ['SADD', 'draining', hostId]);
    for (let at = 0; at === 0 || at < orders.length; at += RESTORED_AT_ONCE) {
      const some = orders.slice(at, at + RESTORED_AT_ONCE);
      await transact(this.#store, async (transaction) => {
        const ids = some.map(({ id }) => id);
        const [stored, given] = await transaction.read(['HMGET', 'orders', ...ids], ['HMGET', 'assignments', ...ids]);
        const removed = await transaction.read(...some.map(({ id }) => ['EXISTS', `removed:${id}`] as const));
        const writes = some.flatMap(({ revision, ...order }, i) => {
          const isOlder = (revisionOf(stored[i]!) ?? -1) < revision;
          return isOlder && removed[i] === 0 ? this.#orderWrites(order, given[i]!) : [];
        });
        await transaction.commit([...marks, ...writes]);
      });
    }
  }

  /** @param given - the entry of its assignment. */
  #orderWrites(order: Omit<StreamOrder, 'revision'>, given: string | null): Write[] {
    return [
      ['HSET', 'orders', order.id, numbered(this.#json(`order:${order.id}`, order), 'revision')],
      ['SET', 'orders-revision', NUMBER],
      ...changedPlans([assignedHost(given)]),
    ];
  }

  #json(place: string, record: object): string {
    return signedJson(this.#signer, place, record);
  }

  /** What was written after the revision that the host got is in it already; the host then gets it again. */
  async #planOf(hostId: string): Promise<Map<string, { order: StreamOrder; assignment: Assignment }>> {
    const { replies: assigned } = await this.#store.read([['SMEMBERS', `assigned:${hostId}`]]);
    const entriesOf = async (key: string): Promise<string[]> => {
      const { replies } = await this.#store.read([['HMGET', key, ...assigned[0]]]);
      return replies[0].flatMap((text, i) => (text === null ? [] : [assigned[0][i]!, text]));
    };
    const orders = await this.#planOrders.read(await entriesOf('orders'));
    const assignments = await this.#planAssignments.read(await entriesOf('assignments'));
    const plan = new Map<string, { order: StreamOrder; assignment: Assignment }>();
    for (const [streamId, order] of orders) {
      const given = assignments.get(streamId);
      if (given !== undefined) plan.set(streamId, { order, assignment: given });
    }
    return plan;
  }
}

/** Returns whether a live process that started at another time has this card. */
function isOfAnother(transaction: Transaction, text: string | null, startedMs: number): boolean {
  const host = liveCard(transaction, text);
  return host !== null && host.startedMs !== startedMs;
}

function liveCard(transaction: Transaction, text: string | null): { expiresMs: unknown; startedMs: unknown } | null {
  const entry = transaction.unexpired(text);
  if (entry === null || typeof entry.card !== 'object' || entry.card === null) return null;
  return { expiresMs: entry.expiresMs, startedMs: (entry.card as { startedMs?: unknown }).startedMs };
}

function assignedHost(text: string | null): string | null {
  const hostId = decoded(text)?.hostId;
  return typeof hostId === 'string' ? hostId : null;
}

function unassignment(streamId: string, text: string | null): Write[] {
  const hostId = assignedHost(text);
  const writes: Write[] = [['HDEL', 'assignments', streamId]];
  if (hostId !== null) writes.push(['SREM', `assigned:${hostId}`, streamId]);
  return writes;
}

function changedPlans(hostIds: readonly (string | null)[]): Write[] {
  const known = hostIds.filter((hostId) => hostId !== null);
  return known.map((hostId) => ['SET', `plan:${hostId}`, NUMBER, 'PX', PLAN_REVISION_MS]);
}

/** null: there is no order, or another program wrote it. */
function revisionOf(text: string | null): number | null {
  const revision = decoded(text)?.revision;
  return typeof revision === 'number' ? revision : null;
}
