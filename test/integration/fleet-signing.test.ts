import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Incidents } from '../../src/base/flow/incidents.ts';
import type { ControlPlane } from '../../src/fleet/control/control-plane.ts';
import { openRedisControlPlane } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { card, order } from '../conformance/control-plane-rigs.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { waitFor } from '../support/wait-for.ts';

const [OLD, NEW] = ['1'.repeat(64), '2'.repeat(64)] as const;
const KEYS = '{sightline}';

/** A member of the fleet, or somebody who only has Redis' password. */
interface Member {
  readonly control: ControlPlane;
  readonly incidents: Incidents;
}

describe.skipIf(redisMissing !== null)('a signed fleet, and somebody who has only the password of Redis', () => {
  let redis: RedisServer;
  const open: ControlPlane[] = [];

  const join = async (fleetKeys: string | null): Promise<Member> => {
    const incidents = new Incidents();
    const control = await openRedisControlPlane({ url: redis.url, leaseMs: 60_000, fleetKeys, incidents });
    open.push(control);
    return { control, incidents };
  };
  const refused = ({ incidents }: Member, channel: string, reason: string): number =>
    incidents.refusals.find((one) => one.channel === channel && one.reason === reason)!.count;

  beforeAll(async () => {
    redis = await RedisServer.open();
  });
  afterAll(async () => {
    for (const control of open) await control.close();
    await redis.close();
  });

  it('cannot order a stream, change one or point one elsewhere, and each try is counted', async () => {
    const host = await join(NEW);
    const stranger = await join(null);
    await host.control.state.beat({ card: card('h1'), held: new Map(), planRevision: 0 });
    await host.control.state.addOrder(order('real'));
    await stranger.control.state.addOrder(order('forged'));
    const stored = (await redis.admin.hget(`${KEYS}:orders`, 'real'))!;
    await redis.admin.hset(`${KEYS}:orders`, 'moved', stored.replace('"id":"real"', '"id":"moved"'));
    expect((await host.control.state.snapshot()).orders.map(({ id }) => id)).toEqual(['real']);
    await redis.admin.hset(`${KEYS}:orders`, 'real', stored.replace('camera/real', 'camera/else'));
    await redis.admin.set(`${KEYS}:orders-revision`, 1);
    expect((await host.control.state.snapshot()).orders).toEqual([]);
    expect(refused(host, 'redis-record', 'signature')).toBe(3);
    await redis.admin.del(`${KEYS}:orders`);
  });

  it('cannot pretend to be a host', async () => {
    const host = await join(NEW);
    const stranger = await join(null);
    await stranger.control.state.beat({ card: card('h9'), held: new Map(), planRevision: 0 });
    await host.control.state.beat({ card: card('h2'), held: new Map(), planRevision: 0 });
    expect((await host.control.state.snapshot()).hosts.map(({ id }) => id)).not.toContain('h9');
  });

  it('cannot send a message, nor send one again', async () => {
    const [receiver, sender, stranger] = [await join(NEW), await join(NEW), await join(null)];
    const received: unknown[] = [];
    receiver.control.bus.subscribe('wake', null, ({ hostId }) => received.push(hostId));
    const wake = { topic: 'wake', stream: null, fence: null, body: null } as const;
    const sealed: string[] = [];
    const spy = redis.admin.duplicate();
    await spy.psubscribe(`${KEYS}:bus:*`);
    spy.on('pmessage', (_: string, __: string, text: string) => sealed.push(text));
    await waitFor('the subscription', async () => {
      sender.control.bus.publish({ ...wake, hostId: 'real' });
      return received.length > 0 && sealed.length > 0;
    });
    const before = received.length;
    stranger.control.bus.publish({ ...wake, hostId: 'forged' });
    for (const text of sealed.slice(0, 2)) await redis.admin.publish(`${KEYS}:bus:wake:`, text);
    await waitFor(
      'two refusals',
      () => refused(receiver, 'bus-wake', 'signature') >= 1 && refused(receiver, 'bus-wake', 'replay') >= 1,
    );
    expect(received.slice(before)).not.toContain('forged');
    expect(received.length - before).toBeLessThanOrEqual(sealed.length - before);
    spy.disconnect();
  });

  it('cannot roll out a model', async () => {
    const host = await join(NEW);
    await redis.admin.set(`${KEYS}:rollout:street`, JSON.stringify({ id: 'r1', pipeline: 'street', fence: 5 }));
    const reply = await host.control.rollouts('street').beat({ hostId: 'h1', knownFence: 0 });
    expect(reply.rollout).toBe(null);
    expect(refused(host, 'redis-record', 'signature')).toBe(1);
  });

  it('cannot submit a job, and cannot add a task to one', async () => {
    const [host, stranger] = [await join(NEW), await join(null)];
    const job = {
      id: 'j1',
      pipeline: 'bulk',
      inputs: ['/videos/a.mp4'],
      outDir: '/out',
      track: false,
      every: 1,
      segmentSeconds: 0,
      priority: 0,
      createdMs: Date.now(),
    };
    await stranger.control.tasks.submit({ ...job, id: 'forged' });
    await host.control.tasks.submit(job);
    const ran: string[] = [];
    host.control.tasks.work('bulk', 1, async (task) => {
      ran.push(`${task.jobId} ${task.kind}`);
      return { frames: 0, next: null };
    });
    await waitFor('the job', () => ran.includes('j1 split'));
    await waitFor('the refusal of the forged task', () => refused(host, 'redis-record', 'signature') > 0);
    expect(ran.filter((one) => one.startsWith('forged'))).toEqual([]);
    expect((await host.control.tasks.jobs()).map(({ id }) => id)).toEqual(['j1']);
  });

  it('gets nothing in while the fleet replaces its key, and no order is lost', async () => {
    const old = await join(OLD);
    await old.control.state.addOrder(order('kept'));
    const both = await join(`${NEW},${OLD}`);
    expect((await both.control.state.snapshot()).orders.map(({ id }) => id)).toEqual(['kept']);
    const fresh = await join(NEW);
    await waitFor('the order to be signed with the new key', async () => {
      const { orders } = await (await join(NEW)).control.state.snapshot();
      return orders.length === 1;
    });
    await fresh.control.state.removeOrder('kept');
  });

  it('is locked out of a fleet that was unsigned, once its orders are signed', async () => {
    const unsigned = await join(null);
    await unsigned.control.state.addOrder(order('first'));
    const changing = await join(`${NEW},unsigned`);
    expect((await changing.control.state.snapshot()).orders.map(({ id }) => id)).toEqual(['first']);
    await waitFor('the signature', async () => {
      const { orders } = await (await join(NEW)).control.state.snapshot();
      return orders.length === 1;
    });
  });
});
