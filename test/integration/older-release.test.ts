import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../src/base/flow/incidents.ts';
import type { ControlPlane } from '../../src/fleet/control/control-plane.ts';
import { openRedisControlPlane } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { FleetView } from '../../src/fleet/control/view/fleet-view.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { RuntimeDouble } from '../support/runtime-double.ts';
import { scaleReport } from '../support/sample-reports.ts';
import { ScriptedHandler } from '../support/task-handlers.ts';
import { waitFor } from '../support/wait-for.ts';

/** What a host of an older release has left in Redis, and its last message on each topic. `origin` says which, and how it was recorded. */
interface Recording {
  readonly origin: string;
  readonly recordedMs: number;
  readonly keys: Readonly<Record<string, { readonly type: string; readonly value: unknown }>>;
  readonly messages: Readonly<Record<string, { readonly channel: string; readonly text: string }>>;
}

const FOLDER = 'test/support/older-releases';
const PREFIX = '{sightline}:';
const FLEET_KEY = 'k'.repeat(64);
const PIPELINE = 'old-fleet';
const recordings = readdirSync(FOLDER).map((file) => file.replace('.json', ''));

/** Moves all times of a recording as if it was made now. Fences, which have more digits, stay. */
function recordingOf(name: string): Recording {
  const text = readFileSync(`${FOLDER}/${name}.json`, 'utf8');
  const { recordedMs } = JSON.parse(text) as Recording;
  const byMs = Date.now() - recordedMs;
  const start = String(recordedMs).slice(0, 5);
  return JSON.parse(text.replace(new RegExp(`\\b${start}\\d{8}\\b`, 'g'), (ms) => String(Number(ms) + byMs)));
}

describe.skipIf(redisMissing !== null)('a fleet with an older release', () => {
  let redis: RedisServer;
  let incidents: Incidents;
  const log: string[] = [];
  const open: { close(): unknown }[] = [];
  beforeAll(async () => {
    redis = await RedisServer.open();
  });
  afterAll(() => redis.close());
  beforeEach(() => {
    log.length = 0;
    incidents = new Incidents((text) => log.push(text));
  });
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close();
    await redis.admin.flushall();
  });

  const join = async (fleetKeys: string | null = null): Promise<ControlPlane> => {
    const control = await openRedisControlPlane({ url: redis.url, leaseMs: 60_000, fleetKeys, incidents });
    open.push(control);
    return control;
  };

  async function restore({ keys }: Recording): Promise<void> {
    for (const [name, { type, value }] of Object.entries(keys)) {
      const key = PREFIX + name;
      if (type === 'hash') await redis.admin.hset(key, value as Record<string, string>);
      else if (type === 'set') await redis.admin.sadd(key, ...(value as string[]));
      else if (type === 'string') await redis.admin.set(key, value as string);
      else if (type === 'zset') {
        const entries = value as string[];
        for (let i = 0; i < entries.length; i += 2) await redis.admin.zadd(key, entries[i + 1]!, entries[i]!);
      } else throw new Error(`unknown type ${type}`);
    }
    // Its lease, which had ended before the recording did.
    const [lease, host] = [
      await redis.admin.hget(`${PREFIX}leases`, 'gate'),
      await redis.admin.hget(`${PREFIX}hosts`, 'old-host'),
    ];
    const later = (text: string | null): string =>
      JSON.stringify({ ...JSON.parse(text!), expiresMs: Date.now() + 60_000 });
    await redis.admin.hset(`${PREFIX}leases`, 'gate', later(lease));
    await redis.admin.hset(`${PREFIX}hosts`, 'old-host', later(host));
  }

  async function showFleet(control: ControlPlane): Promise<FleetView> {
    const view = new FleetView({
      control,
      own: new RuntimeDouble(),
      hostId: 'new-host',
      pipeline: PIPELINE,
      defaults: {},
      incidents,
      admitStream: () => undefined,
      admitJob: () => undefined,
      advise: () => scaleReport(1),
    });
    open.push(view);
    await view.start();
    return view;
  }

  const sendAll = async ({ messages }: Recording, change = (text: string): string => text): Promise<void> => {
    for (const { channel, text } of Object.values(messages)) await redis.admin.publish(PREFIX + channel, change(text));
  };
  const refusals = (): Record<string, number> =>
    Object.fromEntries(
      incidents.refusals
        .filter(({ count }) => count > 0)
        .map(({ channel, reason, count }) => [`${channel} ${reason}`, count]),
    );

  describe.each(recordings)('%s', (name) => {
    let recording: Recording;
    beforeEach(async () => {
      recording = recordingOf(name);
      await restore(recording);
    });

    it('its hosts, streams, leases and jobs are read, and nothing of them is refused', async () => {
      const control = await join();
      const { hosts, orders, leases } = await control.state.snapshot();
      expect(hosts).toMatchObject([{ id: 'old-host', pipeline: PIPELINE, capacityFps: 50 }]);
      expect(orders.map(({ id, config }) => [id, config.maxFps]).sort()).toEqual([
        ['gate', undefined],
        ['yard', 5],
      ]);
      // Settings that came later have their default values.
      expect(orders[0]!.config).toMatchObject({ insecureTls: false, openTimeoutMs: 10_000 });
      expect(leases.get('gate')).toMatchObject({ hostId: 'old-host' });
      expect(await control.tasks.jobs()).toMatchObject([{ state: 'waiting', filesDone: 0 }]);
      expect(refusals()).toEqual({});
    });

    it('its messages are understood, keys of another release are left out', async () => {
      const view = await showFleet(await join());
      const events: string[] = [];
      view.onEvent(({ kind }) => events.push(kind));
      const frames: number[] = [];
      view.onPublished(({ detections }) => frames.push(detections.length));
      view.watchDetections(new Set(['gate']));
      const isShown = (): boolean =>
        view.report().streams.some(({ id, frames: { in: taken } }) => id === 'gate' && taken > 0);
      await waitFor('its report, event and result', async () => {
        await sendAll(recording, (text) => text.replace('{"v":1,', '{"v":1,"new":{"key":[1]},'));
        return isShown() && events.length > 0 && frames.length > 0;
      });
      expect(view.report().streams.find(({ id }) => id === 'gate')).toMatchObject({
        state: 'running',
        host: 'old-host',
      });
      expect(Object.keys(refusals()).filter((key) => !key.endsWith(' fence') && !key.endsWith(' stale'))).toEqual([]);
    });

    it('its tasks are done', async () => {
      const control = await join();
      const handler = new ScriptedHandler(1);
      control.tasks.work(PIPELINE, 1, handler.handle);
      await waitFor('the job', async () => (await control.tasks.jobs())[0]!.state === 'done', { deadlineMs: 30_000 });
      expect(handler.begun.map((text) => text.split('/')[1])).toEqual(['split 0', 'segment 0.0', 'merge 0']);
      expect(refusals()).toEqual({});
    });

    it('in a fleet that signs, all of it is refused and counted, and nothing of it runs', async () => {
      const control = await join(FLEET_KEY);
      const view = await showFleet(control);
      const { hosts, orders } = await control.state.snapshot();
      expect([hosts, orders]).toEqual([[], []]);
      expect(await control.tasks.jobs()).toEqual([]);
      expect(refusals()['redis-record signature']).toBeGreaterThanOrEqual(4);
      await waitFor('refused messages', async () => {
        await sendAll(recording);
        return (refusals()['bus-stats signature'] ?? 0) > 0 && (refusals()['bus-events signature'] ?? 0) > 0;
      });
      const before = refusals()['redis-record signature']!;
      const handler = new ScriptedHandler(1);
      control.tasks.work(PIPELINE, 1, handler.handle);
      await waitFor('the refused task', () => refusals()['redis-record signature']! > before);
      expect(handler.begun).toEqual([]);
      expect(view.report().streams).toEqual([]);
      expect(log.join('\n')).toContain('it is not signed');
    });

    it('is accepted by a fleet that is about to sign, and what is written from then on is signed', async () => {
      const control = await join(`${FLEET_KEY},unsigned`);
      const { hosts, orders } = await control.state.snapshot();
      expect([hosts.length, orders.length]).toEqual([1, 2]);
      const { signature: _, ...order } = orders.find(({ id }) => id === 'yard') as (typeof orders)[0] & {
        signature?: string;
      };
      await control.state.replaceOrder({ ...order, isPaused: true });
      expect(await redis.admin.hget(`${PREFIX}orders`, 'yard')).toContain('"signature":');
      expect(refusals()).toEqual({});
    });
  });

  describe('and a newer one', () => {
    const recording = recordingOf(recordings[0]!);
    beforeEach(() => restore(recording));

    it('messages of a newer protocol are refused, counted and named in the log', async () => {
      const view = await showFleet(await join());
      await waitFor('refused messages', async () => {
        await sendAll(recording, (text) => text.replace('{"v":1,', '{"v":2,'));
        return (refusals()['bus-stats version'] ?? 0) > 0;
      });
      expect(log.join('\n')).toMatch(/bus-\w+, version.*expected protocol 1, received 2/);
      expect(view.report().streams.every(({ frames }) => frames.in === 0)).toBe(true);
    });

    it('records with keys of a newer release are read without them', async () => {
      const control = await join();
      const text = (await redis.admin.hget(`${PREFIX}orders`, 'yard'))!;
      const newer = { ...(JSON.parse(text) as object), region: 'north' };
      await redis.admin.hset(`${PREFIX}orders`, 'yard', JSON.stringify(newer));
      await redis.admin.incr(`${PREFIX}orders-revision`);
      const { orders } = await control.state.snapshot();
      expect(orders.map(({ id }) => id).sort()).toEqual(['gate', 'yard']);
      expect(orders.find(({ id }) => id === 'yard')).not.toHaveProperty('region');
      expect(refusals()).toEqual({});
    });

    it('records that mean something else now are refused one by one, counted and named; the others work', async () => {
      const control = await join();
      const text = (await redis.admin.hget(`${PREFIX}orders`, 'yard'))!;
      await redis.admin.hset(`${PREFIX}orders`, 'yard', text.replace('"isPaused":false', '"isPaused":{"until":1}'));
      await redis.admin.incr(`${PREFIX}orders-revision`);
      const { orders } = await control.state.snapshot();
      expect(orders.map(({ id }) => id)).toEqual(['gate']);
      expect(refusals()).toEqual({ 'redis-record schema': 1 });
      expect(log.join('\n')).toMatch(/yard.*isPaused: expected true or false/);
    });
  });
});
