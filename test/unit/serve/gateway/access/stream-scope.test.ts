import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { History } from '../../../../../src/after/history/history.ts';
import { indexBox } from '../../../../../src/after/recording/fragment-file.ts';
import { Recorder } from '../../../../../src/after/recording/recorder.ts';
import type { PublishedFrame } from '../../../../../src/base/core/frame.ts';
import { gatewayConfig } from '../../../../../src/settings/config/gateway.ts';
import type { SimilarReply } from '../../../../../src/wire/protocol/rest.ts';
import { FeedSocket } from '../../../../support/feed-socket.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { openGateway } from '../../../../support/open-gateways.ts';
import { RequestPortDouble } from '../../../../support/request-port-double.ts';
import { RolloutPortDouble, rolloutReport } from '../../../../support/rollout-port-double.ts';
import { ruleEvent } from '../../../../support/rule-events.ts';
import { publishedFrame, RuntimeDouble } from '../../../../support/runtime-double.ts';
import { alertFigures, streamReport } from '../../../../support/sample-reports.ts';

/** An id that occurs nowhere else. */
const HIDDEN = 'yard-7f3a';
const KEEPING = { embeddingsMs: 3_600_000 };
const NOW_MS = Date.parse('2026-01-31T12:00:00Z');

const { proxyUsers } = gatewayConfig.parse({
  trustedProxies: ['127.0.0.1'],
  proxyUsers: {
    groups: [
      { name: 'watchers', role: 'viewer', streams: ['door'] },
      { name: 'keepers', role: 'operator', streams: ['door'] },
      { name: 'heads', role: 'admin', streams: ['door'] },
      { name: 'nobodies', role: 'viewer', streams: [] },
      { name: 'admins', role: 'admin' },
    ],
  },
});
const as = (group: string): Record<string, string> => ({ 'remote-user': 'anna', 'remote-groups': group });

/** An event of the hidden stream, of whose object an embedding is kept. */
const SEEN = 'seen-in-yard';
const EVENTS = { door: 'd0'.repeat(12), [HIDDEN]: '1d'.repeat(12) };
/** The least that a recording has: boxes without content, its index, and one fragment, which is no video. */
function recordingOf(stream: string, text: string): Buffer {
  const empty = (type: string): Buffer => Buffer.from(`\0\0\0\b${type}`);
  const times = { added: 0, shiftUs: 0, key: true, frames: 1, firstUs: 0, startUs: 0, endUs: 1, endMs: 1 };
  return Buffer.concat([
    ...[empty('ftyp'), empty('moov'), indexBox({ stream, timescale: 90_000, codec: 'avc1', originUs: 0 })],
    ...[indexBox({ bytes: text.length, sha256: '', before: '', ...times }), Buffer.from(text)],
  ]);
}
/** Recordings and clips of both streams. */
const folder = mkdtempSync(join(tmpdir(), 'sightline-scope-'));
for (const [stream, event] of Object.entries(EVENTS)) {
  mkdirSync(join(folder, stream, 'clips'), { recursive: true });
  writeFileSync(join(folder, stream, '1000-61000-continuous.mp4'), recordingOf(stream, `video of ${stream}`));
  writeFileSync(join(folder, stream, 'clips', `1000-9000-${event}.mp4`), recordingOf(stream, `clip of ${stream}`));
  writeFileSync(join(folder, stream, 'clips', `${event}.jpg`), `picture of ${stream}`);
}
afterAll(() => rmSync(folder, { recursive: true }));
const recorder = new Recorder({
  folder,
  ringBytes: 1,
  retention: { days: 1e6, eventDays: 1e6, clipDays: 1e6, labelDays: {}, maxBytes: 1e9 },
  ffmpeg: null as never,
  configOf: () => null,
  onState: () => undefined,
  onNotice: () => undefined,
  clock: new ManualClock(),
  wallMs: () => NOW_MS,
  openTarget: () => Promise.reject(new Error()),
});

const JPEG = await sharp({ create: { width: 16, height: 16, channels: 3, background: '#808080' } })
  .jpeg()
  .toBuffer();

let history: History;
let pictures: NodeJS.Timeout | undefined;
afterEach(() => clearInterval(pictures));
beforeEach(async () => {
  const wallMs = (): number => NOW_MS;
  history = await History.open({
    path: null,
    maxBytes: 2 ** 24,
    days: 90,
    onNotice: () => undefined,
    wallMs,
    ...KEEPING,
  });
});
afterEach(() => history.close());

/** A gateway in which everything that can name a stream names the hidden one. */
async function open() {
  const runtime = new RuntimeDouble(['door', HIDDEN]);
  runtime.put({ ...streamReport('door'), state: 'running' });
  runtime.ready = { isReady: true, isDegraded: true, reason: `failed at the start: ${HIDDEN}` } as never;
  runtime.host = {
    ...runtime.host,
    overload: { text: `${HIDDEN} is too fast`, reason: HIDDEN, remedies: [], streams: [HIDDEN] } as never,
    lowered: { sinceMs: 1, undo: [{ streams: [HIDDEN], body: {}, undo: {} }] },
    sinks: [
      { id: `file of ${HIDDEN}`, problem: `${HIDDEN}.jsonl: no space`, sent: 1, waiting: 0, retried: 0, lost: {} },
    ],
    alerts: { [`phone of ${HIDDEN}`]: alertFigures() },
  };
  const rollouts = new RolloutPortDouble(rolloutReport({ candidateStreams: [HIDDEN], reason: `${HIDDEN} waits` }));
  // Cameras that send pictures.
  pictures = setInterval(() => {
    for (const id of runtime.watched) runtime.preview(publishedFrame(id, 1), JPEG);
  }, 20);
  const routes: string[] = [];
  const { url } = await openGateway(runtime, {
    proxyUsers,
    trustedProxies: ['127.0.0.1'],
    rollouts,
    history,
    wallMs: () => NOW_MS + 120_000,
    requests: new RequestPortDouble(),
    recorder,
    onRoute: (route) => routes.push(route),
  });
  for (const streamId of ['door', HIDDEN])
    for (let frame = 0; frame < 50; frame++) history.observe(seenFrame(streamId, frame));
  await history.record(
    ruleEvent(SEEN, 0, 'new', { stream: HIDDEN, run: 'r', trackId: 1, reason: `${HIDDEN} has one` }),
  );
  for (const stream of ['door', HIDDEN])
    runtime.emitEvent({
      type: 'event',
      timeMs: NOW_MS - 1,
      kind: 'stream-warning',
      stream,
      message: `${stream} is dark`,
    });
  runtime.emitEvent({ type: 'event', timeMs: NOW_MS - 1, kind: 'overload-began', message: `${HIDDEN} is too fast` });
  for (let i = 0; i < 3; i++) runtime.tick();
  return { runtime, rollouts, url, routes };
}

/** A person in a zone, and over a line. */
function seenFrame(streamId: string, frame: number): PublishedFrame {
  const box = [300, 140, 40, 40] as const;
  const crossings = [{ lineId: `line of ${streamId}`, trackId: 1, label: 'person', direction: 'left-to-right' }];
  const attributes = { like: { vector: [1, 0], model: 'm@1', box, atUs: 0 } };
  return {
    ...publishedFrame(streamId, frame, [{ classId: 0, label: 'person', score: 0.9, box, trackId: frame, attributes }]),
    run: 'r',
    zones: [{ id: `zone of ${streamId}`, inside: 1 }],
    crossings,
  } as never;
}

const BODIES: Readonly<Record<string, unknown>> = {
  'POST /api/rollouts/promote': { rollout: 'rollout-3', step: 2 },
  'POST /api/streams': { id: 'porch', source: 'a.mp4' },
  'POST /api/sources/test': { id: 'porch' },
};

/** Everything that a client gets: status, headers and body. */
async function answerOf(url: string, route: string, group: string, id: string, query = ''): Promise<string> {
  const [method, pattern] = route.split(' ') as [string, string];
  const path = pattern
    .replace(':id', id)
    .replace(':model', 'double')
    .replace(':version', '1')
    .replace('*', 'x')
    .replace(':name', '1000-61000-continuous.mp4');
  const body =
    method === 'GET' || method === 'DELETE' || method === 'OPTIONS' ? undefined : JSON.stringify(BODIES[route] ?? {});
  const headers = { ...as(group), ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  const reply = await fetch(`${url}${path}${query}`, { method, headers, redirect: 'manual', ...(body && { body }) });
  return `${reply.status} ${JSON.stringify([...reply.headers])} ${await bodyOf(reply)}`;
}

/** The whole body; of pictures without end, the first of them. */
async function bodyOf(reply: Response): Promise<string> {
  if (reply.headers.get('content-type')?.startsWith('multipart/') !== true) return reply.text();
  let text = '';
  for await (const chunk of reply.body!) {
    text += Buffer.from(chunk).toString('latin1');
    if (text.includes('Content-Type: image/jpeg')) break;
  }
  return text;
}

describe('somebody who may see one stream only', () => {
  it.each(['watchers', 'keepers', 'heads', 'nobodies'])(
    'gets no byte of another from any route, as one of the %s',
    async (group) => {
      const { url, routes } = await open();
      const leaks: string[] = [];
      for (const route of routes)
        for (const [id, query] of [
          ['door', ''],
          ['door', '?stream=door'],
          [HIDDEN, ''],
          ['door', `?stream=${HIDDEN}`],
          ['door', `?stream=door&stream=${HIDDEN}`],
          ['door', `?q=${HIDDEN}`],
          ['door', '?format=csv'],
          ['door', '?stream=door&track=1'],
          ['door', `?stream=${HIDDEN}&track=1`],
          ['door', `?event=${SEEN}`],
        ] as const) {
          const answer = await answerOf(url, route, group, id, query);
          if (answer.includes(HIDDEN)) leaks.push(`${route} ${id} ${query}: ${answer.slice(0, 300)}`);
        }
      expect(leaks).toEqual([]);
    },
  );

  it('sees that the walk would notice: who may see all gets the other from most routes', async () => {
    const { url, routes } = await open();
    const shown: string[] = [];
    // Once it is removed, nothing can show it.
    for (const route of routes.filter((each) => !each.startsWith('DELETE')))
      if ((await answerOf(url, route, 'admins', HIDDEN)).includes(HIDDEN)) shown.push(route);
    expect(shown).toEqual(
      expect.arrayContaining([
        ...['GET /api/streams', 'GET /api/streams/:id', 'GET /api/pipeline', 'GET /api/events', 'GET /api/counts'],
        ...['GET /api/occupancy', 'GET /api/seen', 'GET /api/rollouts', 'GET /metrics', 'GET /readyz'],
      ]),
    );
  });

  it('gets its own', async () => {
    const { url } = await open();
    const get = async (path: string): Promise<string> => (await fetch(url + path, { headers: as('watchers') })).text();
    for (const path of [
      '/api/streams',
      '/api/streams/door',
      '/api/events',
      '/api/counts',
      '/api/occupancy',
      '/api/seen',
    ])
      expect([path, await get(path)]).toEqual([path, expect.stringContaining('door')]);
    const metrics = await get('/metrics');
    expect(metrics).toContain('stream="door"');
    // Sums over all streams would tell what the others do.
    const names = new Set([...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
    expect([...names].filter((name) => !/^sightline_(?:stream|ready|restream|zone|line|event)/.test(name))).toEqual([]);
    // Objects of the same picture are not compared.
    const similar = async (query: string, group: string): Promise<unknown[]> => {
      const reply = await fetch(`${url}/api/similar?limit=100&${query}`, { headers: as(group) });
      const { of, objects } = (await reply.json()) as SimilarReply;
      return [of?.stream, new Set(objects.map(({ stream }) => stream))];
    };
    expect(await similar('stream=door&track=1', 'watchers')).toEqual(['door', new Set()]);
    expect(await similar('stream=door&track=1', 'admins')).toEqual(['door', new Set([HIDDEN])]);
    expect(await similar(`event=${SEEN}`, 'watchers')).toEqual([undefined, new Set()]);
    expect(await similar(`event=${SEEN}`, 'admins')).toEqual([HIDDEN, new Set(['door'])]);
    for (const what of ['picture.jpg', 'alerts']) {
      const statusFor = async (group: string): Promise<number> =>
        (await fetch(`${url}/api/events/${SEEN}/${what}`, { headers: as(group) })).status;
      expect([await statusFor('watchers'), (await statusFor('admins')) < 300]).toEqual([404, true]);
    }
    expect(await get('/api/heat?stream=door')).toContain('"cells"');
    expect(await get('/api/streams/door/history')).toContain('"fpsIn"');
    expect(JSON.parse(await get('/api/events')).events).toMatchObject([{ stream: 'door' }]);
  });

  it('gets the recordings and clips of its own stream, and those of no other', async () => {
    const { url } = await open();
    const get = async (path: string, group: string): Promise<string> => {
      const reply = await fetch(url + path, { headers: as(group) });
      return `${reply.status} ${await reply.text()}`;
    };
    const paths = (stream: string, event: string): string[] => [
      ...[`/api/recordings/files/1000-61000-continuous.mp4?stream=${stream}`, `/api/events/${event}/clip.mp4`],
      `/api/events/${event}/snapshot.jpg?boxes=0`,
    ];
    for (const path of paths('door', EVENTS.door!)) expect(await get(path, 'watchers')).toMatch(/^200 .*\w+ of door$/s);
    for (const path of paths(HIDDEN, EVENTS[HIDDEN]!)) {
      expect(await get(path, 'watchers')).toMatch(/^404 /);
      expect(await get(path, 'admins')).toMatch(/^200 .*\w+ of yard/s);
    }
    const clipOf = async (stream: string, group: string): Promise<unknown> =>
      JSON.parse((await get(`/api/recordings?event=${(EVENTS as Record<string, string>)[stream]}`, group)).slice(4))
        .clip;
    expect(await clipOf('door', 'watchers')).toMatchObject({ stream: 'door', isReady: true, hasPicture: true });
    expect([await clipOf(HIDDEN, 'watchers'), await clipOf('porch', 'watchers')]).toEqual([null, null]);
    expect(await clipOf(HIDDEN, 'admins')).toMatchObject({ stream: HIDDEN });
    expect(JSON.parse((await get('/api/recordings', 'watchers')).slice(4)).spans).toMatchObject([{ stream: 'door' }]);
    expect(JSON.parse((await get('/api/recordings', 'admins')).slice(4)).spans).toHaveLength(2);
  });

  it('cannot tell a hidden stream from one that does not exist', async () => {
    const { url } = await open();
    const textOf = async (route: string, id: string): Promise<string> =>
      (await answerOf(url, route, 'keepers', id)).replace(/\["date","[^"]*"\]/, '');
    for (const route of ['GET /api/streams/:id', 'PATCH /api/streams/:id', 'DELETE /api/streams/:id'])
      expect(await textOf(route, HIDDEN)).toBe(await textOf(route, 'porch'));
  });

  it('may not use a route that is about all streams, nor one that nobody has looked at', async () => {
    const { url, routes } = await open();
    const refused: string[] = [];
    for (const route of routes)
      if ((await answerOf(url, route, 'heads', 'door')).startsWith('403')) refused.push(route);
    expect(refused.sort()).toEqual(
      [
        ...['GET /api/hosts', 'GET /api/jobs', 'GET /api/jobs/:id', 'GET /api/pipeline', 'GET /api/rollouts'],
        ...['GET /api/rollouts/history', 'GET /api/scale', 'GET /api/versions', 'GET /api/versions/:id'],
        ...['POST /api/hosts/:id/drain', 'POST /api/hosts/:id/undrain', 'POST /api/jobs', 'POST /api/jobs/:id/cancel'],
        ...['POST /api/jobs/:id/retry', 'POST /api/pipeline/reset', 'POST /api/rollouts', 'POST /api/rollouts/abort'],
        ...[
          'POST /api/rollouts/hold',
          'POST /api/rollouts/promote',
          'POST /api/rollouts/resume',
          'POST /api/rollouts/undo',
        ],
        ...['POST /api/sources/discover', 'POST /api/sources/test', 'POST /api/streams', 'POST /api/streams/:id/move'],
      ].sort(),
    );
  });

  it.each(['json', 'msgpack'] as const)('gets nothing of another over the feed, in %s', async (format) => {
    const { url, runtime, rollouts } = await open();
    const feed = await FeedSocket.open(url, as('watchers'));
    const topics = ['stats', 'detections', 'preview', 'events'];
    feed.say({ type: 'subscribe', topics, format });
    feed.say({ type: 'subscribe', topics, format, streams: [HIDDEN, 'door'] });
    feed.say({ type: 'subscribe', topics, format });
    await feed.settle();
    expect([...runtime.watched]).toEqual(['door']);
    const jpeg = Uint8Array.of(1);
    for (const id of [HIDDEN, 'door']) {
      const frame = publishedFrame(id, 60);
      runtime.publish(frame);
      runtime.preview(frame, jpeg);
      rollouts.shadow({ stream: id, frame: 60, control: [], candidate: [] } as never);
      runtime.emitEvent({
        type: 'event',
        timeMs: NOW_MS,
        kind: 'stream-warning',
        stream: id,
        message: `${id} is dark`,
      });
    }
    runtime.emitEvent({ type: 'event', timeMs: NOW_MS, kind: 'overload-began', message: `${HIDDEN} is too fast` });
    runtime.tick();
    await feed.settle();
    const all = [...feed.messages, ...feed.binary];
    expect(JSON.stringify(all)).not.toContain(HIDDEN);
    const types = new Set(all.map(({ type }) => type));
    expect([...types]).toEqual(expect.arrayContaining(['hello', 'stats', 'detections', 'preview', 'event']));
    feed.socket.terminate();
  });
});
