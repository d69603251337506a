import { describe, expect, it } from 'vitest';
import type { StatsMessage } from '../../../../src/wire/protocol/feed.ts';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { publishedFrame, RuntimeDouble } from '../../../support/runtime-double.ts';

const PERSON = { classId: 0, label: 'person', score: 0.912345678, box: [10.04, 20.06, 30, 40], trackId: 7 } as const;

async function connect(port: RuntimeDouble, options = {}): Promise<FeedSocket> {
  const { url } = await openGateway(port, options);
  return FeedSocket.open(url);
}

describe('feed', () => {
  it('sends hello with the protocol version, the topics and the streams', async () => {
    const client = await connect(new RuntimeDouble(['gate', 'yard']));
    expect(client.messages[0]).toEqual({
      type: 'hello',
      protocol: 1,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      topics: ['stats', 'detections', 'preview', 'events'],
      streams: ['gate', 'yard'],
      access: { name: null, role: 'admin', expiresMs: null },
    });
  });

  it('sends nothing without a subscription', async () => {
    const port = new RuntimeDouble(['gate']);
    const client = await connect(port);
    port.tick();
    port.publish(publishedFrame('gate', 1));
    await client.settle();
    expect(client.messages.map((message) => message.type)).toEqual(['hello', 'error']);
  });

  it('sends the newest stats at once and then each report, with a sequence number that increments', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const client = await connect(port);
    client.say({ type: 'subscribe', topics: ['stats'] });
    await client.until(() => client.of('stats').length === 1);
    port.tick();
    port.tick();
    await client.until(() => client.of('stats').length === 3);

    const [first, second, third] = client.of('stats') as [StatsMessage, StatsMessage, StatsMessage];
    expect([second.seq - first.seq, third.seq - second.seq]).toEqual([1, 1]);
    expect({ streams: third.streams, host: third.host, timeMs: third.timeMs }).toEqual(port.report());
    expect(third.droppedMessages).toBe(0);
  });

  it('sends one client the streams that it named, and another client all', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const { url } = await openGateway(port);
    const [some, all] = [await FeedSocket.open(url), await FeedSocket.open(url)];
    some.say({ type: 'subscribe', topics: ['stats', 'detections'], streams: ['yard'] });
    all.say({ type: 'subscribe', topics: ['stats', 'detections'] });
    await Promise.all([some.settle(), all.settle()]);

    port.publish(publishedFrame('gate', 1));
    port.publish(publishedFrame('yard', 1));
    await Promise.all([some.settle(), all.settle()]);

    expect(some.of('stats')[0]!.streams.map(({ id }) => id)).toEqual(['yard']);
    expect(all.of('stats')[0]!.streams.map(({ id }) => id)).toEqual(['gate', 'yard']);
    expect(some.of('detections').map(({ stream }) => stream)).toEqual(['yard']);
    expect(all.of('detections').map(({ stream }) => stream)).toEqual(['gate', 'yard']);
  });

  it('sends detections with the latency of their frame, in source pixels, rounded', async () => {
    const port = new RuntimeDouble(['gate']);
    const client = await connect(port);
    client.say({ type: 'subscribe', topics: ['detections'] });
    await client.settle();
    port.publish(publishedFrame('gate', 25, [PERSON]));
    await client.until(() => client.of('detections').length === 1);

    expect(client.of('detections')[0]).toEqual({
      type: 'detections',
      stream: 'gate',
      frame: 25,
      ptsUs: 1_000_000,
      width: 1280,
      height: 720,
      by: 'inferred',
      latencyMs: 42,
      detections: [{ classId: 0, label: 'person', score: 0.9123, box: [10, 20.1, 30, 40], trackId: 7 }],
    });
  });

  it('sends with a result what identifies it, when it was captured, and what lines and zones count', async () => {
    const port = new RuntimeDouble(['gate']);
    const client = await connect(port);
    client.say({ type: 'subscribe', topics: ['detections'] });
    await client.settle();
    const crossing = {
      lineId: 'door',
      trackId: 7,
      label: 'person',
      direction: 'right-to-left',
      ptsUs: 40_000,
    } as const;
    const zones = [{ id: 'yard', inside: 3 }];
    const capturedAtMs = Date.UTC(2026, 2, 1, 6, 0, 0, 40);
    const run = '2026-03-01T06:00:00.000Z';
    port.publish({ ...publishedFrame('gate', 1), run, capturedAtMs, fence: 7, crossings: [crossing], zones });
    await client.until(() => client.of('detections').length === 1);

    expect(client.of('detections')[0]).toMatchObject({
      stream: 'gate',
      run,
      frame: 1,
      capturedAt: '2026-03-01T06:00:00.040Z',
      fence: 7,
      crossings: [crossing],
      zones: { yard: 3 },
    });
  });

  it('replaces an earlier subscription of the same topic, and unsubscribes', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const client = await connect(port);
    client.say({ type: 'subscribe', topics: ['detections'], streams: ['gate'] });
    client.say({ type: 'subscribe', topics: ['detections'], streams: ['yard'] });
    await client.settle();
    port.publish(publishedFrame('gate', 1));
    port.publish(publishedFrame('yard', 2));
    await client.until(() => client.of('detections').length === 1);
    client.say({ type: 'unsubscribe', topics: ['detections'] });
    await client.settle();
    port.publish(publishedFrame('yard', 3));
    await client.settle();

    expect(client.of('detections').map(({ frame }) => frame)).toEqual([2]);
  });

  it('sends events of the host to all subscribers, those of a stream to its subscribers', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const client = await connect(port);
    client.say({ type: 'subscribe', topics: ['events'], streams: ['yard'] });
    await client.settle();
    const event = { type: 'event', timeMs: 1, kind: 'target-missed', message: 'Too slow.' } as const;
    port.emitEvent({ ...event, stream: 'gate' });
    port.emitEvent({ ...event, stream: 'yard' });
    port.emitEvent(event);
    await client.until(() => client.of('event').length === 2);

    expect(client.of('event').map(({ stream }) => stream)).toEqual(['yard', undefined]);
  });
});

describe('previews', () => {
  it('are requested from the runtime for the union of watched streams, until the last client leaves', async () => {
    const port = new RuntimeDouble(['gate', 'yard', 'roof']);
    const { url } = await openGateway(port);
    const [first, second] = [await FeedSocket.open(url), await FeedSocket.open(url)];
    first.say({ type: 'subscribe', topics: ['preview'], streams: ['gate', 'yard'] });
    await first.settle();
    second.say({ type: 'subscribe', topics: ['preview'], streams: ['yard', 'roof'] });
    await second.settle();
    expect([...port.watched].sort()).toEqual(['gate', 'roof', 'yard']);

    first.socket.close();
    await first.closed();
    await second.settle();
    expect([...port.watched].sort()).toEqual(['roof', 'yard']);

    second.say({ type: 'unsubscribe', topics: ['preview'] });
    await second.settle();
    expect([...port.watched]).toEqual([]);
  });

  it('include streams that are added later if all are watched', async () => {
    const port = new RuntimeDouble(['gate']);
    const client = await connect(port);
    client.say({ type: 'subscribe', topics: ['preview'] });
    await client.settle();
    await port.addStream({ id: 'late', source: 'a.mp4' });
    expect([...port.watched]).toEqual(['gate', 'late']);
  });

  it('contain the JPEG and the detections of its frame, each one that is made', async () => {
    const port = new RuntimeDouble(['gate']);
    const client = await connect(port);
    client.say({ type: 'subscribe', topics: ['preview'] });
    await client.settle();
    const jpeg = Uint8Array.of(0xff, 0xd8, 1, 2, 3);
    for (let frame = 0; frame < 25; frame += 1) port.preview(publishedFrame('gate', frame, [PERSON]), jpeg);
    await client.settle();

    const previews = client.of('preview');
    expect(previews.map(({ frame }) => frame)).toEqual(Array.from({ length: 25 }, (_, frame) => frame));
    expect(Buffer.from(previews[0]!.jpeg, 'base64')).toEqual(Buffer.from(jpeg));
    expect(previews[0]!.detections[0]!.trackId).toBe(7);
  });
});

describe('clients that break the rules', () => {
  it.each([
    ['text that is not JSON', 'hello?', /expected JSON/],
    ['an unknown type', { type: 'shout' }, /message\.type/],
    ['an unknown topic', { type: 'subscribe', topics: ['gossip'] }, /message\.topics\.0/],
    ['no topics', { type: 'subscribe', topics: [] }, /message\.topics/],
    ['an unknown key', { type: 'subscribe', topics: ['stats'], every: 5 }, /every/],
    [
      'an unknown format',
      { type: 'subscribe', topics: ['stats'], format: 'cbor' },
      /message\.format: expected "json" or "msgpack", received "cbor"/,
    ],
    [
      'a setting of another topic',
      { type: 'subscribe', topics: ['stats'], previewFps: 1 },
      /message\.previewFps: expected only with the topic preview, received \["stats"\]/,
    ],
  ])('get an error for %s and stay connected', async (_what, message, complaint) => {
    const client = await connect(new RuntimeDouble(['gate']));
    client.say(message);
    await client.until(() => client.of('error').length === 1);
    expect(client.of('error')[0]!.error.code).toBe('PROTOCOL_INVALID');
    expect(client.of('error')[0]!.error.message).toMatch(complaint);

    client.say({ type: 'subscribe', topics: ['stats'] });
    await client.until(() => client.of('stats').length === 1);
  });

  it('get an error for binary frames', async () => {
    const client = await connect(new RuntimeDouble());
    client.socket.send(Buffer.from('{"type":"subscribe","topics":["stats"]}'));
    await client.until(() => client.of('error').length === 1);
    expect(client.of('error')[0]!.error.message).toContain('binary');
  });

  it('are disconnected with 1008 after twenty invalid messages', async () => {
    const client = await connect(new RuntimeDouble());
    for (let i = 0; i < 25; i += 1) client.say('nonsense');
    expect(await client.closed()).toBe(1008);
    expect(client.of('error')).toHaveLength(20);
  });

  it('are disconnected with 1008 if they exceed the message rate, but not below it', async () => {
    const clock = new ManualClock();
    const client = await connect(new RuntimeDouble(), { clock, heartbeatMs: 1e9 });
    const speak = { type: 'unsubscribe', topics: ['stats'] };
    for (let i = 0; i < 150; i += 1) client.say(speak);
    await client.settle();
    clock.advance(10_000);
    for (let i = 0; i < 150; i += 1) client.say(speak);
    await client.settle();
    expect(client.closeCode).toBeNull();

    for (let i = 0; i < 100; i += 1) client.say(speak);
    expect(await client.closed()).toBe(1008);
  });

  it('are disconnected for a message above 64 KiB', async () => {
    const client = await connect(new RuntimeDouble());
    client.say('x'.repeat(65 * 1024));
    expect(await client.closed()).toBe(1009);
  });

  it('are disconnected after two heartbeats without an answer, while the others stay', async () => {
    const clock = new ManualClock();
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port, { clock, heartbeatMs: 1000 });
    const [dead, living] = [await FeedSocket.open(url), await FeedSocket.open(url)];
    dead.socket.pause();
    clock.advance(1000);
    await new Promise((resolve) => living.socket.once('ping', resolve));
    await living.settle();
    clock.advance(1000);
    await living.settle();

    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toContain('sightline_feed_clients 1');
    expect(living.closeCode).toBeNull();
    dead.socket.terminate();
  });
});
