import { afterEach, describe, expect, it } from 'vitest';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import type { BusMessage } from '../../src/fleet/control/control-plane.ts';
import type { RedisBus } from '../../src/fleet/control/redis/redis-bus.ts';
import type { StoredState } from '../../src/fleet/control/state/stored-state.ts';
import { card, order } from '../conformance/control-plane-rigs.ts';
import { changeOrder } from '../support/fleet-world.ts';
import { failure, PREFIX, RedisWorkbench } from '../support/redis-clients.ts';
import { redisMissing } from '../support/redis-server.ts';
import { waitFor } from '../support/wait-for.ts';

const NOTHING: ReadonlyMap<string, number> = new Map();
const title = redisMissing === null ? 'Redis' : `Redis (SKIPPED: ${redisMissing})`;
const bench = new RedisWorkbench();
afterEach(() => bench.close());

const beat = (state: StoredState, held = NOTHING) => state.beat({ card: card('a'), held, planRevision: 0 });
const message = (stream: string | null, body: unknown): BusMessage => ({
  topic: 'detections',
  hostId: 'a',
  stream,
  fence: 1,
  body,
});

/** Repeats a call that fails while Redis is unreachable, as a host repeats its heartbeat. */
async function untilItWorks<T>(what: string, run: () => Promise<T>): Promise<T> {
  for (let i = 0; i < 200; i++) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof SightlineError) || error.code !== 'CONTROL_UNREACHABLE') throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`timed out: ${what}`);
}

/** Publishes until a message arrives: while connections are restored, messages may be lost by contract. */
async function untilHeard(bus: RedisBus, stream: string | null, heard: BusMessage[], body: unknown): Promise<void> {
  await waitFor(`message ${body}`, () => {
    bus.publish(message(stream, body));
    return heard.some((one) => one.body === body);
  });
}

describe.skipIf(redisMissing !== null)(`${title} that becomes unreachable`, () => {
  it('makes every call fail at once while stopped, and succeed when it is back', async () => {
    const server = await bench.server({ isDurable: true });
    const { state, connection } = await bench.client(server);
    await state.addOrder(order('s'));
    await beat(state);
    const fence = (await state.claim('s', 'a'))!;
    await server.kill();
    const calls = [
      () => beat(state),
      () => state.claim('s', 'a'),
      () => state.snapshot(),
      () => state.addOrder(order('t')),
      () => state.release('s', 'a', fence),
    ];
    await waitFor('the end of the connection', () => connection.client.status !== 'ready');
    for (const call of calls) {
      const nextTurn = new Promise((resolve) => setImmediate(resolve, 'still waits'));
      expect(await Promise.race([failure(call()), nextTurn])).toMatchObject({ code: 'CONTROL_UNREACHABLE' });
    }
    await server.start();
    // A restarted Redis has no scripts: the first call sends the script again.
    const reply = await untilItWorks('a beat', () => beat(state, new Map([['s', fence]])));
    expect(reply).toMatchObject({ lost: [], isLeader: true });
    expect((await state.snapshot()).orders.map(({ id }) => id)).toEqual(['s']);
  });

  it('and comes back empty gives higher fences and revisions than before', async () => {
    const server = await bench.server();
    const { state } = await bench.client(server);
    const before = await state.addOrder(order('s'));
    await beat(state);
    const fence = (await state.claim('s', 'a'))!;
    await state.assign('a', new Map([['s', { hostId: 'a', maxFps: null, sinceMs: 1 }]]));
    const { planRevision } = await beat(state);
    await server.kill();
    await server.start();
    const held = new Map([['s', fence]]);
    const reply = await untilItWorks('a beat', () => state.beat({ card: card('a'), held, planRevision }));
    expect(reply.lost).toEqual(['s']);
    expect(reply.plan).toEqual(new Map());
    expect((await state.snapshot()).orders).toEqual([]);
    const after = await state.addOrder(order('s'));
    expect(after.revision).toBeGreaterThan(before.revision);
    expect(await state.claim('s', 'a')).toBeGreaterThan(fence);
    await state.assign('a', new Map([['s', { hostId: 'a', maxFps: null, sinceMs: 1 }]]));
    expect((await beat(state)).planRevision).toBeGreaterThan(planRevision);
  });

  it('by freezing makes calls fail, and does not execute them later', async () => {
    const server = await bench.server();
    const { state, connection } = await bench.client(server);
    await beat(state);
    server.pause();
    // A call already in Redis's socket is executed when it resumes; calls after the connection was closed are not.
    expect(await failure(state.snapshot())).toMatchObject({ code: 'CONTROL_UNREACHABLE' });
    expect(connection.client.status, 'a call times out before the connection does').toBe('ready');
    await waitFor('the end of the connection', () => connection.client.status !== 'ready');
    const last = await failure(state.addOrder(order('last')));
    expect(last).toMatchObject({ code: 'CONTROL_UNREACHABLE' });
    server.resume();
    await untilItWorks('a beat', () => beat(state));
    expect((await state.snapshot()).orders.map(({ id }) => id)).not.toContain('last');
  });

  it('makes calls in flight fail with the connection, not later', async () => {
    const server = await bench.server();
    const { state, connection } = await bench.client(server);
    server.pause();
    const call = failure(state.snapshot());
    await server.kill();
    await waitFor('the end of the connection', () => connection.client.status !== 'ready');
    const nextTurn = new Promise((resolve) => setImmediate(resolve, 'still waits'));
    expect(await Promise.race([call, nextTurn])).toMatchObject({ code: 'CONTROL_UNREACHABLE' });
  });

  it('lets leases expire by its own clock', async () => {
    const server = await bench.server();
    const { state } = await bench.client(server, 1000);
    await state.addOrder(order('s'));
    await beat(state);
    const fence = (await state.claim('s', 'a'))!;
    await waitForSnapshot(state, ({ hosts }) => hosts.length === 0);
    const other = await state.beat({ card: card('b'), held: NOTHING, planRevision: 0 });
    expect(other.isLeader).toBe(true);
    expect(await state.claim('s', 'b')).toBeGreaterThan(fence);
    expect((await beat(state, new Map([['s', fence]]))).lost).toEqual(['s']);
  });
});

async function waitForSnapshot(
  state: StoredState,
  isWanted: (snapshot: Awaited<ReturnType<StoredState['snapshot']>>) => boolean,
): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (isWanted(await state.snapshot())) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the snapshot never became what was waited for');
}

describe.skipIf(redisMissing !== null)(`${title} as a bus`, () => {
  it('drops and counts messages while it is unreachable, and subscribes again when it is back', async () => {
    const server = await bench.server();
    const [{ bus }, reader] = [await bench.client(server), await bench.client(server)];
    const ofStream: BusMessage[] = [];
    const ofAll: BusMessage[] = [];
    reader.bus.subscribe('detections', 's', (one) => ofStream.push(one));
    reader.bus.subscribe('detections', null, (one) => ofAll.push(one));
    await untilHeard(bus, 's', ofStream, 'before');
    await untilHeard(bus, 's', ofAll, 'before');
    await server.kill();
    const droppedBefore = bus.droppedCount;
    await waitFor('a drop', () => {
      bus.publish(message('s', 'lost'));
      return bus.droppedCount > droppedBefore;
    });
    expect(await failure(bus.audience('detections', ['s']))).toMatchObject({ code: 'CONTROL_UNREACHABLE' });
    // Requested without a connection: subscribed with the rest.
    const late: BusMessage[] = [];
    reader.bus.subscribe('detections', 't', (one) => late.push(one));
    await server.start();
    await untilHeard(bus, 's', ofStream, 'after');
    await untilHeard(bus, 's', ofAll, 'after');
    await untilHeard(bus, 't', late, 'after');
    expect(await bus.audience('detections', ['s', 'u'])).toEqual(new Set(['s', 'u']));
  });

  it('that hangs is disconnected by subscribers, and costs publishers a bounded queue', async () => {
    const server = await bench.server();
    const [publisher, reader] = [await bench.client(server), await bench.client(server)];
    const { bus } = publisher;
    const heard: BusMessage[] = [];
    reader.bus.subscribe('detections', 's', (one) => heard.push(one));
    await untilHeard(bus, 's', heard, 'before');
    server.pause();
    const picture = 'x'.repeat(1000);
    // More than the in-flight limit: all but the first ten kilobytes are dropped at once.
    const droppedBefore = bus.droppedCount;
    for (let i = 0; i < 100; i++) bus.publish(message('s', picture));
    expect(bus.droppedCount - droppedBefore).toBeGreaterThanOrEqual(90);
    await waitFor('the end of the connections', () =>
      [publisher, reader].every(({ busConnection }) => busConnection.client.status !== 'ready'),
    );
    server.resume();
    await untilHeard(bus, 's', heard, 'after');
  });

  it('that disconnects a slow subscriber is subscribed to again', async () => {
    const server = await bench.server();
    const [{ bus }, reader] = [await bench.client(server), await bench.client(server)];
    const heard: BusMessage[] = [];
    reader.bus.subscribe('detections', 's', (one) => heard.push(one));
    await untilHeard(bus, 's', heard, 'before');
    // What client-output-buffer-limit does to a subscriber that does not read its messages.
    expect(await server.admin.call('CLIENT', 'KILL', 'TYPE', 'PUBSUB')).toBe(1);
    await untilHeard(bus, 's', heard, 'after');
  });

  it('drops messages of foreign programs, counts them and reports them once', async () => {
    const server = await bench.server();
    const { bus, notices } = await bench.client(server);
    const heard: BusMessage[] = [];
    bus.subscribe('detections', 's', (one) => heard.push(one));
    bus.subscribe('detections', null, () => {});
    await untilHeard(bus, 's', heard, 'before');
    const noticesBefore = notices.length;
    const droppedBefore = bus.droppedCount;
    const channel = `${PREFIX}:bus:detections:s`;
    const foreign = [
      'not JSON',
      '{}',
      JSON.stringify({ ...message('s', 1), fence: 'x' }),
      JSON.stringify({ ...message('s', 1), v: 2 }),
      JSON.stringify(message('other', 1)),
    ];
    for (const text of foreign) await server.admin.publish(channel, text);
    await server.admin.publish(`${PREFIX}:bus:detections:`, 'not JSON');
    await untilHeard(bus, 's', heard, 'after');
    expect(new Set(heard.map(({ body }) => body))).toEqual(new Set(['before', 'after']));
    // Messages on the stream's channel count twice: for the listener of the stream and for the listener of all.
    expect(bus.droppedCount - droppedBefore).toBe(foreign.length * 2 + 1);
    expect(notices.slice(noticesBefore)).toHaveLength(1);
    expect(notices.at(-1)).toContain(channel);
  });

  it('ignores unknown fields of a newer host', async () => {
    const server = await bench.server();
    const { bus } = await bench.client(server);
    const heard: BusMessage[] = [];
    bus.subscribe('detections', 's', (one) => heard.push(one));
    await untilHeard(bus, 's', heard, 'before');
    await server.admin.publish(
      `${PREFIX}:bus:detections:s`,
      JSON.stringify({ v: 1, ...message('s', 'newer'), more: 1 }),
    );
    await waitFor('the message', () => heard.some(({ body }) => body === 'newer'));
    expect(heard.at(-1)).toEqual(message('s', 'newer'));
  });

  it('never throws when publishing a body that is not JSON', async () => {
    const server = await bench.server();
    const { bus, notices } = await bench.client(server);
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    bus.publish(message('s', circular));
    expect(bus.droppedCount).toBe(1);
    expect(notices.at(-1)).toContain('detections');
  });
});

describe.skipIf(redisMissing !== null)(`${title} with entries of foreign programs`, () => {
  it('skips and reports them, and continues', async () => {
    const server = await bench.server();
    const { state, notices } = await bench.client(server);
    await state.addOrder(order('s'));
    await beat(state);
    await state.assign('a', new Map([['s', { hostId: 'a', maxFps: null, sinceMs: 1 }]]));
    const fence = (await state.claim('s', 'a'))!;
    const { admin } = server;
    for (const [name, field] of [
      ['hosts', 'h'],
      ['orders', 'o'],
      ['assignments', 'o'],
      ['leases', 'o'],
    ] as const) {
      await admin.hset(`${PREFIX}:${name}`, field, '{"foreign":true}');
      await admin.hset(`${PREFIX}:${name}`, `${field}2`, 'not JSON');
    }
    await admin.sadd(`${PREFIX}:assigned:a`, 'o', 'o2', 'gone');
    // The orders are fetched again after the next change to any of them.
    await state.addOrder(order('t'));
    const snapshot = await state.snapshot();
    expect(snapshot.hosts.map(({ id }) => id)).toEqual(['a']);
    expect(snapshot.orders.map(({ id }) => id).sort()).toEqual(['s', 't']);
    expect([...snapshot.assignments.keys()]).toEqual(['s']);
    expect([...snapshot.leases.keys()]).toEqual(['s']);
    const reply = await beat(state, new Map([['s', fence]]));
    expect(reply.lost).toEqual([]);
    expect([...(reply.plan?.keys() ?? [])]).toEqual(['s']);
    expect(notices.filter((text) => text.includes('was ignored')).length).toBeGreaterThanOrEqual(1);
    // A foreign lease blocks no claim, and overwriting repairs an entry.
    await changeOrder(state, order('o'));
    expect(await state.claim('o', 'a')).toBeGreaterThan(fence);
    await state.assign('a', new Map([['o', { hostId: 'a', maxFps: null, sinceMs: 1 }]]));
    expect([...(await beat(state)).plan!.keys()].sort()).toEqual(['o', 's']);
  });
});
