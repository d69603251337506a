import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import type { FakeDetect } from '../../src/frame/runtime/stream/stream-port.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import type { RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { waitFor } from '../support/wait-for.ts';

const SOURCE = 'synthetic:testsrc2=size=64x64:rate=10';
const RULES = [
  { id: 'stays', kind: 'dwells', zone: 'all', for: '500ms' },
  { id: 'lost', kind: 'stream', for: '100ms' },
];
const zones = [
  {
    id: 'all',
    polygon: [
      [0, 0],
      [1, 0],
      [1, 1],
      [0, 1],
    ],
  },
];

const folder = mkdtempSync(join(tmpdir(), 'sightline-rules-'));
let host: PipelineHost;
let records: RuleEvent[];
let messages: EventMessage[];

afterEach(async () => {
  await host.stop();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A person in the middle of each picture, who can leave. */
const scene = { isThere: true };
const fakeDetect: FakeDetect = () =>
  scene.isThere ? [{ classId: 0, label: 'person', score: 0.9, box: [20, 20, 20, 30] }] : [];

async function open(streams: object[], more: object = {}): Promise<void> {
  const model = { engine: 'fake', inputSize: '64x64', threads: 1 };
  const file = { name: 'rules', description: 'Rules.', model, streams, lanes: 1, ...more };
  [scene.isThere, records, messages] = [true, [], []];
  host = await PipelineHost.open(parsePipeline(JSON.stringify(file), 'test'), {
    environment: { ffmpegPath: testFfmpeg.path, searchPath: '', modelPath: [], cacheDir: folder, token: undefined },
    stdout: process.stdout,
    onNotice: () => undefined,
    admit: () => Promise.resolve(),
    fakeDetect,
  });
  host.onRuleEvent((event) => records.push(event));
  host.onEvent((event) => void (event.kind === 'rule' && messages.push(event)));
  await host.start();
}

const lives = (): string[] => records.map(({ rule, phase, endReason }) => `${rule} ${endReason ?? phase}`);

it('a stream that runs raises an event, announces it, and ends it when the stream is paused', async () => {
  await open([{ id: 'cam', source: SOURCE, policy: 'live', zones, events: RULES }]);
  await waitFor('an event', () => records.length > 0);
  expect(records[0]).toMatchObject({ rule: 'stays', phase: 'new', stream: 'cam', label: 'person', zone: 'all' });
  expect(records[0]!.at).toBeDefined();
  expect(records[0]!.run).toBeDefined();
  await host.pauseStream('cam');
  await waitFor('an event', () => lives().includes('stays stopped'));
  expect(messages.map(({ message }) => message.replace(/[\d.]+ s$/, 'N s'))).toEqual([
    'stays: person 1 has stayed in zone all for N s',
    'stays: over: person 1 has stayed in zone all for N s',
  ]);
  expect(messages[0]!.rule).toEqual(records[0]);
});

it('rules change while a stream runs: others go on, and the source stays open', async () => {
  await open([{ id: 'cam', source: SOURCE, zones, events: RULES }]);
  await waitFor('an event', () => lives().includes('stays new'));
  const added = { id: 'seen', kind: 'appears' };
  await host.changeStream('cam', { events: [...RULES, added] });
  await waitFor('an event', () => lives().includes('seen new'));
  expect(lives()).toEqual(['stays new', 'seen new']);
  await host.changeStream('cam', { events: [added] });
  await waitFor('an event', () => lives().includes('stays changed'));
  expect(host.runtime.stream('cam').config.events).toHaveLength(1);
  await host.changeStream('cam', { events: null });
  await waitFor('an event', () => lives().includes('seen changed'));
});

it('refuses a change that leaves a rule without its zone, and keeps everything as it was', async () => {
  await open([{ id: 'cam', source: SOURCE, zones, events: RULES }]);
  const before = host.streamSettings('cam').settings;
  await expect(host.changeStream('cam', { zones: [] })).rejects.toThrow(
    'events[0].zone: expected a zone of the stream, which has none',
  );
  await expect(
    host.changeStream('cam', { events: [{ id: 'x', kind: 'appears', labels: ['unicorn'] }] }),
  ).rejects.toThrow('events[0].labels[0]: expected a class of the model');
  expect(host.streamSettings('cam').settings).toEqual(before);
});

it('ends its events when its stream is removed, and when the host stops', async () => {
  await open([
    { id: 'one', source: SOURCE, zones, events: RULES },
    { id: 'two', source: SOURCE, zones, events: RULES },
  ]);
  await waitFor('an event', () => records.length >= 2);
  await host.removeStream('one');
  expect(records.filter(({ stream }) => stream === 'one').map(({ endReason }) => endReason)).toEqual([
    undefined,
    'stopped',
  ]);
  await host.stop();
  const ends = records.filter(({ phase }) => phase === 'end');
  expect(ends.map(({ stream }) => stream)).toEqual(['one', 'two']);
});

it('reports what rules did, and accounts for the time that was watched', async () => {
  await open([{ id: 'cam', source: SOURCE, zones, events: RULES }]);
  await waitFor('an event', () => records.length > 0);
  await waitFor('an event', () => (host.report().streams[0]!.seeing?.watchedMs ?? 0) > 0);
  const { seeing, events } = host.report().streams[0]!;
  const blind = Object.values(seeing!.blindMs).reduce((sum, ms) => sum + ms, 0);
  expect(seeing!.watchedMs + blind).toBeCloseTo(seeing!.totalMs, 3);
  expect(events).toEqual({ raised: 1, ended: 0, suppressed: { times: 0, cooldown: 0, when: 0 } });
});

it('an alert tells its events by its own sink, and the ledger of the channel is exact', async () => {
  const bodies = new Map<string, { rule: string; reason: string }[]>();
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const list = bodies.get(request.url!) ?? [];
    bodies.set(request.url!, list);
    const found = JSON.parse(text) as { data: RuleEvent }[];
    list.push(...found.map(({ data: { rule, reason } }) => ({ rule, reason })));
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const sink = (path: string) => ({
    type: 'webhook',
    url: `http://127.0.0.1:${port}/${path}`,
    send: ['events'],
    spoolMaxMb: 0,
  });
  const alerts = [{ on: ['seen'], to: ['webhook-2'], hold: '1h' }];
  // On a busy machine a stream can take longer to open than the other rule waits.
  const rules = [RULES[0]!, { id: 'seen', kind: 'appears' }];
  const streams = ['one', 'two'].map((id) => ({ id, source: SOURCE, zones, events: rules }));
  await open(streams, { sinks: [sink('all'), sink('phone')], alerts });
  const ledger = () => host.report().host.alerts?.['webhook-2'];
  await waitFor(
    'both alerts',
    () => ledger()?.sent === 2,
    {},
    () => JSON.stringify(ledger()),
  );
  await waitFor('all events', () => (bodies.get('/all')?.length ?? 0) >= 4);
  expect(bodies.get('/phone')!.map(({ rule }) => rule)).toEqual(['seen', 'seen']);
  expect(new Set(bodies.get('/all')!.map(({ rule }) => rule))).toEqual(new Set(['seen', 'stays']));
  expect(ledger()).toEqual({
    raised: 2,
    sent: 2,
    grouped: 0,
    suppressed: { hold: 0, quiet: 0 },
    failed: 0,
    pending: 0,
    // Its rules keep no clips, so no picture follows.
    snapshots: { sent: 0, failed: 0, pending: 0 },
  });
  await host.stop();
  server.close();
});

it('a file that is run again, or a copy of it, gives the same events by the same ids', async () => {
  const videos = new VideoFolder();
  const source = await videos.make('clip.mp4', { frames: 40, fps: 10, width: 64, height: 64 });
  const idsOf = async (from: string): Promise<string[]> => {
    await open([{ id: 'cam', source: from, zones, events: [RULES[0]] }]);
    await waitFor('an event', () => records.length > 0);
    await host.stop();
    return records.filter(({ phase }) => phase === 'new').map(({ id }) => id);
  };
  try {
    const ids = await idsOf(source);
    expect(await idsOf(source)).toEqual(ids);
    const copy = join(videos.path, 'copy.mp4');
    copyFileSync(source, copy);
    expect(await idsOf(copy)).toEqual(ids);
    const other = await videos.make('other.mp4', { frames: 41, fps: 10, width: 64, height: 64 });
    expect(await idsOf(other)).not.toEqual(ids);
  } finally {
    videos.remove();
  }
});
