import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Incidents } from '../../../../src/base/flow/incidents.ts';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { FleetRig } from '../../../support/fleet-rig.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { mutationsOf } from '../../../support/mutations.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { publishedFrame, RuntimeDouble } from '../../../support/runtime-double.ts';
import { hostReport, streamReport } from '../../../support/sample-reports.ts';

const SUBSCRIBE = { type: 'subscribe', topics: ['stats', 'preview'], streams: ['gate'] };
const BODIES: readonly [method: string, path: string, body: unknown][] = [
  [
    'POST',
    '/streams',
    {
      id: 'yard',
      source: 'rtsp://camera.example/1',
      zones: [
        {
          id: 'a',
          polygon: [
            [0, 0],
            [1, 0],
            [1, 1],
          ],
        },
      ],
    },
  ],
  ['PATCH', '/streams/gate', { priority: 2, target: { fps: 20 } }],
  ['POST', '/streams/gate/move', { host: 'host-2' }],
  ['POST', '/streams/gate/pause', {}],
  ['POST', '/streams/gate/resume', {}],
  ['POST', '/hosts/host-2/drain', {}],
  ['POST', '/hosts/host-2/undrain', {}],
  ['POST', '/jobs', { inputs: ['/videos/a.mp4'], outDir: '/results', track: { lostMs: 100 }, every: 1 }],
  ['POST', '/jobs/nightly/cancel', {}],
  ['POST', '/jobs/nightly/retry', {}],
];

describe('a gateway with clients that send arbitrary messages', () => {
  it('answers every message or closes, and does not affect other clients', async () => {
    const incidents = new Incidents();
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port, { incidents });
    const other = await FeedSocket.open(url);
    other.say({ type: 'subscribe', topics: ['detections'] });
    await other.settle();
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      mutationsOf(SUBSCRIBE).map((value) => JSON.stringify(value)),
      fc.constant('['.repeat(60_000)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(texts, { minLength: 1, maxLength: 15 }), async (messages) => {
        const client = await FeedSocket.open(url);
        for (const text of messages) client.say(text === '' ? ' ' : text);
        await client.settle();
        client.socket.terminate();
      }),
      { numRuns: 40 },
    );
    const binary = await FeedSocket.open(url);
    binary.socket.send(Buffer.from([1, 2, 3]));
    await binary.until(() => binary.of('error').length === 1);
    const large = await FeedSocket.open(url);
    large.say('x'.repeat(70_000));
    expect(await large.closed()).toBe(1009);

    port.publish(publishedFrame('gate', 77));
    await other.until(() => other.of('detections').some(({ frame }) => frame === 77));
    expect(incidents.caught.size).toBe(0);
    const counted = new Map(incidents.refusals.map(({ channel, reason, count }) => [`${channel} ${reason}`, count]));
    for (const kind of ['websocket json', 'websocket schema', 'websocket size'])
      expect(counted.get(kind), kind).toBeGreaterThan(0);
  });

  it('says of a message that is nested too deeply that it is', async () => {
    const { url } = await openGateway(new RuntimeDouble());
    const client = await FeedSocket.open(url);
    client.socket.send(`{"type":"subscribe","topics":${'['.repeat(30_000)}${']'.repeat(30_000)}}`);
    await client.until(() => client.of('error').length === 1);
    expect(client.of('error')[0]!.error.message).toContain('more than 64 lists and sections within each other');
  });

  it('names at most a few mistakes of a message', async () => {
    const { url } = await openGateway(new RuntimeDouble());
    const client = await FeedSocket.open(url);
    client.say({ type: 'subscribe', topics: Array(10_000).fill('x') });
    await client.until(() => client.of('error').length === 1);
    expect(client.of('error')[0]!.error.message.length).toBeLessThan(2000);
  });

  it.each(BODIES)('answers any body of %s %s with an error code, never with 500', async (method, path, body) => {
    const rig = await FleetRig.open();
    await rig.view.addStream({ id: 'gate', source: 'rtsp://camera.example/gate' });
    await rig.view.submitJob({ id: 'nightly', inputs: ['/videos/a.mp4'], outDir: '/results' });
    const incidents = new Incidents();
    const { url } = await openGateway(rig.view, { fleet: rig.view, incidents });
    const bodies = fc.oneof(
      fc.json(),
      fc.string(),
      mutationsOf(body).map((value) => JSON.stringify(value)),
      fc.constant(`{"id":${'['.repeat(50_000)}`),
      fc.constant('{"id":"x","priority":1e999,"source":"a"}'),
    );
    await fc.assert(
      fc.asyncProperty(bodies, async (text) => {
        const headers = { 'content-type': 'application/json' };
        const reply = await fetch(`${url}/api${path}`, { method, headers, body: text });
        const answer = (await reply.json()) as { error?: { code: string } };
        expect(reply.status, text).toBeLessThan(500);
        if (reply.status >= 400) expect(answer.error?.code).toMatch(/^[A-Z_]+$/);
      }),
      { numRuns: 40 },
    );
    rig.view.close();
    expect(incidents.refusals.some(({ channel, count }) => channel === 'rest' && count > 0)).toBe(true);
  });
});

describe('metrics of an invalid report', () => {
  const broken = [
    { fps: { in: 'x', inferred: null, published: Number.NaN } },
    { frames: undefined },
    { frames: { in: -5, published: 1, inFlight: Number.POSITIVE_INFINITY, dropped: { stale: 'many' } } },
    { latencyMs: null, stagesMs: {} },
    { zones: 7, lines: [null] },
    { decodeErrors: {}, reconnects: [] },
    { target: undefined, isMissing: undefined },
  ];

  it.each(broken)('leave out the invalid part and contain the rest: %j', async (change) => {
    const port = new RuntimeDouble(['yard']);
    port.put({ ...streamReport('gate'), ...(change as object) });
    const incidents = new Incidents();
    const { url } = await openGateway(port, { incidents });
    const reply = await fetch(`${url}/metrics`);
    expect(reply.status).toBe(200);
    const text = await reply.text();
    expect(text).toContain('sightline_stream_frames_in_total{stream="yard"} 1000');
    expect(text).not.toContain('NaN');
    expect(text).toContain('sightline_feed_clients 0');
    const skipped = Number(/^sightline_metrics_skipped_total (\d+)$/m.exec(text)?.[1]);
    const caught = incidents.caught.get('a part of the metrics') ?? 0;
    expect(skipped + caught).toBeGreaterThan(0);
  });

  it('are served without a report', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    port.report = () => {
      throw new Error('a bug');
    };
    const reply = await fetch(`${url}/metrics`);
    expect(reply.status).toBe(200);
    expect(await reply.text()).toContain('sightline_exceptions_caught_total 1');
  });

  it('never fail for arbitrary reports of a host', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port, { clock: new ManualClock() });
    await fc.assert(
      fc.asyncProperty(mutationsOf(hostReport()), mutationsOf(streamReport('gate')), async (host, stream) => {
        port.report = () => ({ timeMs: 1, streams: [stream as never], host: host as never });
        expect((await fetch(`${url}/metrics`)).status).toBe(200);
      }),
      { numRuns: 100 },
    );
  });
});
