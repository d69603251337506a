import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlPlane, FleetAlarm } from '../../src/fleet/control/control-plane.ts';
import { RedisConnection } from '../../src/fleet/control/redis/connect.ts';
import { openRedisControlPlane, SuitabilityWatch } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { card, order } from '../conformance/control-plane-rigs.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';

const KEYS = '{sightline}';
const LEASE_MS = 5_000;

describe.skipIf(redisMissing !== null)('a Redis that forgets', () => {
  let redis: RedisServer;
  let open: ControlPlane[] = [];

  const join = async (): Promise<{ control: ControlPlane; alarms: FleetAlarm[] }> => {
    const control = await openRedisControlPlane({ url: redis.url, leaseMs: LEASE_MS, commandTimeoutMs: 500 });
    open.push(control);
    const alarms: FleetAlarm[] = [];
    control.onAlarm((alarm) => alarms.push(alarm));
    return { control, alarms };
  };
  const ids = async ({ control }: { control: ControlPlane }): Promise<string[]> =>
    (await control.state.snapshot()).orders.map(({ id }) => id).sort();

  beforeEach(async () => {
    redis = await RedisServer.open();
  });
  afterEach(async () => {
    for (const control of open) await control.close();
    open = [];
    await redis.close();
  });

  it('everything: the hosts write their streams and marks back, and say so once each', async () => {
    const [a, b] = [await join(), await join()];
    await a.control.state.beat({ card: card('a'), held: new Map(), planRevision: 0 });
    for (let i = 0; i < 450; i++) await a.control.state.addOrder(order(`s${i}`, { isPaused: i % 2 === 0 }));
    await a.control.state.setDraining('a', true);
    const before = await a.control.state.snapshot();
    await ids(b);
    await redis.admin.flushall();
    const [after] = await Promise.all([
      a.control.state.snapshot(),
      b.control.state.snapshot(),
      a.control.state.snapshot(),
    ]);
    const bare = (orders: typeof before.orders) =>
      orders.map(({ revision: _, ...rest }) => rest).sort((x, y) => (x.id < y.id ? -1 : 1));
    expect(bare(after.orders)).toEqual(bare(before.orders));
    expect(after.draining).toEqual(new Set(['a']));
    for (const { alarms } of [a, b])
      expect(alarms.map(({ kind, details }) => [kind, details.streams])).toEqual([['fleet-state-lost', 450]]);
    expect(a.control.trouble).toBe(null);
  });

  it('an order that somebody changed or removed after the loss: the newer one stays', async () => {
    const [a, b] = [await join(), await join()];
    for (const id of ['changed', 'removed', 'kept']) await a.control.state.addOrder(order(id));
    await Promise.all([ids(a), ids(b)]);
    await redis.admin.flushall();
    await ids(a);
    const { orders } = await a.control.state.snapshot();
    await a.control.state.replaceOrder({ ...orders.find(({ id }) => id === 'changed')!, isPaused: true });
    await a.control.state.removeOrder('removed');
    expect(await ids(b)).toEqual(['changed', 'kept']);
    expect((await b.control.state.snapshot()).orders.find(({ id }) => id === 'changed')!.isPaused).toBe(true);
  });

  it('long ago: a host that comes back later writes nothing', async () => {
    const a = await join();
    await a.control.state.addOrder(order('old'));
    await ids(a);
    await redis.admin.flushall();
    // Another host found the empty state two minutes ago, and its operator has removed the stream since.
    await redis.admin.set(`${KEYS}:epoch`, String((Date.now() - 120_000) * 1000));
    expect(await ids(a)).toEqual([]);
    expect(a.alarms.map(({ message }) => message)).toEqual([expect.stringContaining('writes nothing back')]);
    expect(await ids(a)).toEqual([]);
    expect(a.alarms).toHaveLength(1);
  });

  it('the last minutes, because an older copy was loaded', async () => {
    const a = await join();
    await a.control.state.addOrder(order('early'));
    const copy = await redis.admin.hgetall(`${KEYS}:orders`);
    const revision = (await redis.admin.get(`${KEYS}:orders-revision`))!;
    await a.control.state.addOrder(order('late'));
    await ids(a);
    await redis.admin.del(`${KEYS}:orders`);
    await redis.admin.hset(`${KEYS}:orders`, copy);
    await redis.admin.set(`${KEYS}:orders-revision`, revision);
    expect(await ids(a)).toEqual(['early', 'late']);
    expect(a.alarms.map(({ message }) => message)).toEqual([expect.stringContaining('older copy')]);
  });

  it('and has no memory left for the streams: the host is not ready, and writes them later', async () => {
    const a = await join();
    await a.control.state.addOrder(order('one'));
    await ids(a);
    await redis.admin.flushall();
    await redis.admin.set(`${KEYS}:epoch`, String(Date.now() * 1000));
    await redis.admin.config('SET', 'maxmemory', '1');
    await expect(ids(a)).rejects.toThrow();
    expect(a.control.trouble).toContain('1 stream is not written back');
    await redis.admin.config('SET', 'maxmemory', '0');
    expect(await ids(a)).toEqual(['one']);
    expect(a.control.trouble).toBe(null);
  });

  it('nothing, at its first start and at that of a host: no alarm', async () => {
    const a = await join();
    expect(await ids(a)).toEqual([]);
    await a.control.state.addOrder(order('one'));
    const b = await join();
    expect([await ids(a), await ids(b)]).toEqual([['one'], ['one']]);
    expect([...a.alarms, ...b.alarms]).toEqual([]);
  });

  it('its clock went back by an hour: leases and cards of that time do not hold for an hour', async () => {
    const a = await join();
    await a.control.state.beat({ card: card('dead'), held: new Map(), planRevision: 0 });
    await a.control.state.addOrder(order('one'));
    await a.control.state.claim('one', 'dead');
    const ahead = (text: string): string =>
      text.replace(/"expiresMs":(\d+)/, (_, ms) => `"expiresMs":${Number(ms) + 3_600_000}`);
    for (const [key, field] of [
      ['hosts', 'dead'],
      ['leases', 'one'],
    ] as const)
      await redis.admin.hset(`${KEYS}:${key}`, field, ahead((await redis.admin.hget(`${KEYS}:${key}`, field))!));
    await redis.admin.set(`${KEYS}:leader`, ahead((await redis.admin.get(`${KEYS}:leader`))!));
    const reply = await a.control.state.beat({ card: card('alive'), held: new Map(), planRevision: 0 });
    expect(reply.isLeader).toBe(true);
    expect((await a.control.state.snapshot()).hosts.map(({ id }) => id)).toEqual(['alive']);
    expect(await a.control.state.claim('one', 'alive')).toEqual(expect.any(Number));
  });

  it('what it was set to: an alarm when it may evict keys, and when it is mended', async () => {
    const connection = await RedisConnection.open({ url: redis.url, caFile: null, commandTimeoutMs: 500 });
    const [alarms, advice]: [FleetAlarm[], string[]] = [[], []];
    const watch = new SuitabilityWatch(
      connection,
      (text) => advice.push(text),
      (alarm) => alarms.push(alarm),
    );
    await watch.check();
    await redis.admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await watch.check();
    await watch.check();
    expect(watch.trouble).toContain('expected maxmemory-policy noeviction');
    await redis.admin.config('SET', 'maxmemory-policy', 'noeviction');
    await watch.check();
    expect(alarms.map(({ kind }) => kind)).toEqual(['control-unsuitable', 'control-suitable']);
    expect(watch.trouble).toBe(null);
    await redis.admin.config('SET', 'appendonly', 'yes');
    await watch.check();
    await redis.admin.config('SET', 'appendonly', 'no');
    await watch.check();
    expect(advice).toEqual([expect.stringContaining('keeps no append-only file')]);
    await redis.kill();
    await watch.check();
    watch.close();
    await connection.close();
  });
});
