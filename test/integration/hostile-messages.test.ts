import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import { temporaryFolder } from '../support/cli.ts';
import { FeedSocket } from '../support/feed-socket.ts';
import { HostProcess } from '../support/host-process.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { hostReport, streamReport } from '../support/sample-reports.ts';
import { waitFor } from '../support/wait-for.ts';

const STREAMS = ['cam-1', 'cam-2'];
/** The largest possible fence: Redis never gives out a higher one. */
const FORGED_FENCE = 9e15;
const CHANNELS = '{sightline}:bus';

const PIPELINE = (root: string): string => `
name: street
description: Two paced cameras and the fake engine.
model: { engine: fake, fake: { callMs: 2, rows: [128, 128, 256, 256, 0.9, 0] } }
fleet: { capacityFps: 100, bulkConcurrency: 0, schemes: [file], roots: ["${root}"] }
`;

const detection = { classId: 0, label: 'person', score: 0.9, box: [1, 2, 3, 4] };
const times = { captured: 1, decoded: 2, preprocessed: 3, batched: 4, inferred: 5, published: 6 };
const frame = {
  streamId: 'cam-1',
  frame: 1,
  ptsUs: 40_000,
  width: 320,
  height: 180,
  detections: [detection],
  times,
};

function without<T extends object>(value: T, key: keyof T): object {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
}

function stats(stream: object, host: object = hostReport()): object {
  return { timeMs: 1, streams: [stream], failures: [], host };
}

/** `[what is wrong, topic, stream, body]`; the envelope is valid, with the fence of the stream's holder. */
const BAD_BODIES: readonly [string, string, string | null, unknown][] = [
  ['a detection without a box', 'detections', 'cam-1', { ...frame, detections: [without(detection, 'box')] }],
  ['a detection with a short box', 'detections', 'cam-1', { ...frame, detections: [{ ...detection, box: [1] }] }],
  ['a null detection', 'detections', 'cam-1', { ...frame, detections: [null] }],
  ['text for a frame number', 'detections', 'cam-1', { ...frame, frame: '1' }],
  ['no times', 'detections', 'cam-1', without(frame, 'times')],
  ['a frame of another stream', 'detections', 'cam-1', { ...frame, streamId: 'cam-2' }],
  [
    'a picture without a box',
    'preview',
    'cam-1',
    { frame: { ...frame, detections: [without(detection, 'box')] }, jpeg: '' },
  ],
  ['a picture that is not text', 'preview', 'cam-1', { frame, jpeg: { length: 1e9 } }],
  ['no frame counters', 'stats', null, stats(without({ ...streamReport('cam-1'), fence: 1 }, 'frames'))],
  [
    'text for a rate',
    'stats',
    null,
    stats({ ...streamReport('cam-1'), fence: 1, fps: { in: 'x', inferred: {}, published: null } }),
  ],
  ['negative counters', 'stats', null, stats({ ...streamReport('cam-1'), fence: 1, decodeErrors: -5 })],
  ['no latencies', 'stats', null, stats({ ...streamReport('cam-1'), fence: 1, latencyMs: null, stagesMs: {} })],
  ['zones that are not a list', 'stats', null, stats({ ...streamReport('cam-1'), fence: 1, zones: 7, lines: 'x' })],
  ['a host without figures', 'stats', null, stats({ ...streamReport('cam-1'), fence: 1 }, { device: {} })],
  ['an event without a message', 'events', null, { type: 'event', timeMs: 1, kind: 'stream-state' }],
  ['an event whose kind is an object', 'events', null, { type: 'event', timeMs: 1, kind: {}, message: 'x' }],
  ['a wake that names numbers', 'wake', null, { hosts: [1, null, {}] }],
  ['a body that is null', 'stats', null, null],
];

/** Text that is not a message at all. */
const BAD_TEXTS = ['', 'null', '[]', '{', '"x"', '1e999', '{"topic":"stats"}', `${'['.repeat(50_000)}`];

describe.skipIf(redisMissing !== null)('hostile messages on the bus of two hosts (needs redis-server)', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  const hosts: HostProcess[] = [];
  const feeds: FeedSocket[] = [];
  let redis: RedisServer;

  const send = async (topic: string, stream: string | null, message: unknown): Promise<void> => {
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    await redis.admin.publish(`${CHANNELS}:${topic}:${stream ?? ''}`, text);
  };

  const report = async (host: HostProcess, id: string): Promise<StreamReport> =>
    (await (await fetch(`${host.url}/api/streams/${id}`)).json()) as StreamReport;

  const metrics = async (host: HostProcess): Promise<string> => {
    const reply = await fetch(`${host.url}/metrics`);
    expect(reply.status, `/metrics of ${host.id}`).toBe(200);
    return reply.text();
  };

  /** Number of messages of a topic that a host has refused since its start. */
  const refused = (text: string, topic: string): number =>
    [...text.matchAll(/sightline_messages_refused_total\{channel="bus-(\w+)",reason="[a-z]+"\} (\d+)/g)]
      .filter(([, channel]) => channel === topic)
      .reduce((sum, [, , count]) => sum + Number(count), 0);

  /** Checks that both hosts answer, and that both feeds get new results of every stream. */
  const allIsWell = async (): Promise<void> => {
    for (const host of hosts) expect((await fetch(`${host.url}/healthz`)).status).toBe(200);
    for (const feed of feeds) {
      const before = feed.messages.length;
      await waitFor('new results of every stream', () => {
        const fresh = feed.messages.slice(before);
        return STREAMS.every((id) => fresh.some((one) => one.type === 'detections' && one.stream === id));
      });
      expect(feed.closeCode).toBe(null);
    }
    for (const host of hosts) {
      const text = await metrics(host);
      for (const id of STREAMS) expect(text).toContain(`sightline_stream_fps{stream="${id}",point="published"}`);
    }
  };

  beforeAll(async () => {
    mkdirSync(join(temporary.path, 'footage'));
    const clip = await videos.make('clip.mp4', { frames: 50 });
    const pipeline = join(temporary.path, 'street.yaml');
    writeFileSync(pipeline, PIPELINE(clip.slice(0, clip.lastIndexOf('/'))));
    redis = await RedisServer.open();
    for (const id of ['h1', 'h2']) hosts.push(await HostProcess.start(id, [pipeline, '--redis', redis.url]));
    for (const [i, id] of STREAMS.entries()) {
      const body = JSON.stringify({ id, source: clip, loop: true, realtime: true, maxFps: 10 });
      const headers = { 'content-type': 'application/json' };
      const reply = await fetch(`${hosts[i]!.url}/api/streams`, { method: 'POST', headers, body });
      expect(reply.status).toBe(201);
    }
    for (const host of hosts) {
      const feed = await FeedSocket.open(host.url);
      feed.say({ type: 'subscribe', topics: ['stats', 'detections', 'preview', 'events'] });
      feeds.push(feed);
    }
    for (const host of hosts)
      for (const id of STREAMS)
        await waitFor(`stream ${id} on ${host.id}`, async () => (await report(host, id)).state === 'running');
    await allIsWell();
  }, 120_000);

  afterAll(async () => {
    for (const feed of feeds) feed.socket.terminate();
    for (const host of hosts) await host.kill();
    await redis?.close();
    videos.remove();
    temporary.remove();
  });

  it('malformed messages and bodies do no harm and are counted', async () => {
    const { host = '', fence = 0 } = await report(hosts[0]!, 'cam-1');
    expect(fence).toBeGreaterThan(0);
    for (const topic of ['stats', 'detections', 'preview', 'events', 'wake'])
      for (const text of BAD_TEXTS) await send(topic, topic === 'stats' ? null : 'cam-1', text);
    await allIsWell();
    for (const [what, topic, stream, body] of BAD_BODIES) {
      const envelope = { topic, hostId: host, stream, fence: stream === null ? null : fence };
      const before = refused(await metrics(hosts[0]!), topic);
      await send(topic, stream, without({ ...envelope, body }, 'hostId'));
      await send(topic, stream, { ...envelope, body });
      await waitFor(`two refusals: ${what}`, async () => refused(await metrics(hosts[0]!), topic) >= before + 2);
    }
    await allIsWell();
    for (const each of hosts) {
      const text = await metrics(each);
      for (const channel of ['bus-stats', 'bus-detections', 'bus-preview', 'bus-events', 'bus-wake'])
        expect(text).toMatch(
          new RegExp(`sightline_messages_refused_total{channel="${channel}",reason="[a-z-]+"} [1-9]`),
        );
    }
  }, 60_000);

  it('a forged fence hides no stream and shows no forged result', async () => {
    const { host = '' } = await report(hosts[0]!, 'cam-1');
    for (let i = 0; i < 20; i++) {
      const envelope = { topic: 'detections', hostId: 'h9', stream: 'cam-1', fence: FORGED_FENCE };
      await send('detections', 'cam-1', { ...envelope, body: { ...frame, frame: 123_456_789 } });
      const forged = { ...streamReport('cam-1'), fence: FORGED_FENCE, source: 'forged' };
      await send('stats', null, { topic: 'stats', hostId: 'h9', stream: null, fence: null, body: stats(forged) });
    }
    await allIsWell();
    for (const each of hosts) {
      expect(await report(each, 'cam-1')).toMatchObject({ host, state: 'running' });
      expect(await metrics(each)).toMatch(
        /sightline_messages_refused_total{channel="bus-detections",reason="fence"} [1-9]/,
      );
    }
    const results = feeds.flatMap((feed) => feed.of('detections'));
    expect(results.filter(({ frame: number }) => number === 123_456_789)).toEqual([]);
  }, 60_000);

  it('malformed records end no host and stop no stream', async () => {
    const fleet = '{sightline}';
    for (const kind of ['hosts', 'orders', 'assignments', 'leases'])
      for (const [i, text] of ['{', 'null', '[]', '{"hostId":7}', `{"config":${'['.repeat(10_000)}`].entries())
        await redis.admin.hset(`${fleet}:${kind}`, `odd-${i}`, text);
    await redis.admin.set(`${fleet}:leader`, '{"hostId":{},"expiresMs":"x"}');
    await redis.admin.zadd(`${fleet}:jobs`, 1, 'ghost');
    await redis.admin.hset(`${fleet}:job:ghost`, { head: '{}', inputs: '9e15', frames: 'x' });
    // A change makes every reader fetch the orders again.
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ target: { fps: 5 } });
    const reply = await fetch(`${hosts[0]!.url}/api/streams/cam-1`, { method: 'PATCH', headers, body });
    expect(reply.status).toBe(200);
    await waitFor('the count of records', async () =>
      /channel="redis-record",reason="schema"} [1-9]/.test(await metrics(hosts[1]!)),
    );
    await allIsWell();
  }, 60_000);

  it('the hosts shut down cleanly', async () => {
    for (const host of hosts.splice(0)) expect(await host.stop()).toMatchObject({ code: 0 });
  }, 60_000);
});
