import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RuleTrials } from '../../src/after/events/rule-trials.ts';
import { SeenRecords } from '../../src/after/events/seen-records.ts';
import { startGateway } from '../../src/serve/gateway/server.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import type { RuleTrialReply } from '../../src/wire/protocol/tried-rules.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { nestedBinds } from '../support/nested-binds.ts';
import { NO_KEEPER } from '../support/rule-events.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-tried-'));
const all = {
  id: 'all',
  polygon: [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ],
};
const stays = { id: 'stays', kind: 'dwells', zone: 'all', for: '500ms' };
let host: PipelineHost;
let url: string;
let closeGateway: () => Promise<void>;
const records: RuleEvent[] = [];
/** Somebody is there for two of six seconds: who is away for longer than a track is remembered comes back as another. */
const isThere = (): boolean => Date.now() % 6000 < 2000;

beforeAll(async () => {
  const source = 'synthetic:testsrc2=size=64x64:rate=10';
  const streams = [{ id: 'cam', source, policy: 'live', zones: [all], events: [stays] }];
  const model = { engine: 'fake', inputSize: '64x64', threads: 1 };
  const file = { name: 'tried', description: 'Rules.', model, streams, lanes: 1 };
  host = await PipelineHost.open(parsePipeline(JSON.stringify(file), 'test'), {
    environment: { ffmpegPath: testFfmpeg.path, searchPath: '', modelPath: [], cacheDir: folder, token: undefined },
    stdout: process.stdout,
    onNotice: () => undefined,
    admit: () => Promise.resolve(),
    fakeDetect: () => (isThere() ? [{ classId: 0, label: 'person', score: 0.9, box: [20, 20, 20, 30] }] : []),
  });
  await host.keepEvents(NO_KEEPER);
  host.onRuleEvent((event) => records.push(event));
  const gateway = await startGateway(host, { port: 0 });
  url = gateway.url;
  closeGateway = () => gateway.close();
  await host.start();
  await waitFor('an event that is over', () => records.some(({ phase }) => phase === 'end'));
});
afterAll(async () => {
  await closeGateway();
  await host.stop();
  rmSync(folder, { recursive: true });
});

async function ask(rules: unknown, stream = 'cam'): Promise<{ status: number; body: unknown }> {
  const headers = { 'content-type': 'application/json' };
  const path = `${url}/api/streams/${stream}/rules/try`;
  const reply = await fetch(path, { method: 'POST', headers, body: JSON.stringify(rules) });
  return { status: reply.status, body: await reply.json() };
}

const messageOf = ({ body }: { body: unknown }): string => (body as { error: { message: string } }).error.message;

it('the rules of a stream, tried, give the events that it has made', async () => {
  const { status, body } = await ask({});
  const { rules, results, kept, seeing, fromMs, toMs } = body as RuleTrialReply;
  expect(status).toBe(200);
  expect(kept).toBe(results);
  expect(toMs - fromMs).toBeGreaterThan(1000);
  expect(seeing.totalMs).toBe(seeing.watchedMs + Object.values(seeing.blindMs).reduce((sum, ms) => sum + ms, 0));
  expect(rules.map(({ rule }) => rule)).toEqual(['stays']);
  const [first] = rules[0]!.events;
  const end = records.find(({ phase }) => phase === 'end')!;
  const { seq: _seq, phase: _phase, ...live } = end;
  expect(first).toEqual(live);
});

it('other rules, on other places, are tried, and nothing changes', async () => {
  const before = host.streamSettings('cam');
  const zones = [{ ...all, id: 'new' }];
  const lines = [{ id: 'far', from: [0, 0], to: [0.1, 0] }];
  const events = [
    { ...stays, id: 'in-new', zone: 'new' },
    { id: 'over', kind: 'crosses', line: 'far' },
    { id: 'crowd', kind: 'count', above: 5 },
  ];
  const { body } = await ask({ events, zones, lines });
  const { rules } = body as RuleTrialReply;
  expect(rules.map(({ rule }) => rule)).toEqual(['in-new', 'over', 'crowd']);
  expect(rules[0]!.raised).toBeGreaterThan(0);
  expect([rules[1]!.raised, rules[2]!.raised]).toEqual([0, 0]);
  expect(host.streamSettings('cam')).toEqual(before);
});

it.each<[string, object, RegExp]>([
  [
    'a zone that the stream lacks',
    { events: [{ ...stays, zone: 'yard' }] },
    /^stream "cam": events\[0\]\.zone: expected a zone of the stream: all, received "yard"/,
  ],
  [
    'a label that the model lacks',
    { events: [stays, { ...stays, id: 'b', labels: ['unicorn'] }] },
    /events\[1\]\.labels\[0\]: .*unicorn/,
  ],
  [
    'an expression that does not compile',
    { events: [{ ...stays, when: 'score >' }] },
    /events\[0\]\.when: expected a condition in CEL/,
  ],
  [
    'an expression whose lists grow eightfold with each level',
    { events: [{ ...stays, when: nestedBinds(12) }] },
    /events\[0\]\.when: expected a condition in CEL; it calls bind\(\) at character 5; a condition compares/,
  ],
  ['a time that is none', { events: [{ ...stays, for: 'soon' }] }, /events\[0\]\.for: expected a time such as 15s/],
  ['a zone without an area', { zones: [{ id: 'all', polygon: [[0, 0]] }] }, /zones\[0\]\.polygon/],
])('%s is refused with its place, as a change is', async (_, rules, message) => {
  const reply = await ask(rules);
  expect([reply.status, messageOf(reply)]).toEqual([400, expect.stringMatching(message)]);
  const change = await host.changeStream('cam', rules).catch((error: Error) => error.message);
  expect(messageOf(reply)).toBe(change);
});

it('what is no rule is refused, and so is a stream that is not there', async () => {
  const source = await ask({ source: 'rtsp://10.0.0.9/1' });
  expect([source.status, messageOf(source)]).toEqual([400, expect.stringMatching(/^stream "cam": source: unknown/)]);
  expect((await ask({}, 'nobody')).status).toBe(404);
});

it('rules that take too long are given up, and too many trials at once refused', async () => {
  const settings = parseStream({ id: 'cam', source: 'a.mp4', zones: [all], events: [stays] }, {});
  const seen = new SeenRecords().of('cam', 0);
  const impatient = new RuleTrials(0);
  await expect(impatient.try({ settings, seen })).rejects.toMatchObject({
    code: 'LIMIT_REACHED',
    message: expect.stringMatching(/^the rules need more than 0 s/),
  });
  const trials = new RuleTrials();
  const many = await Promise.allSettled(Array.from({ length: 8 }, () => trials.try({ settings, seen })));
  expect(many.map((each) => each.status).sort()).toEqual([
    ...Array.from({ length: 5 }, () => 'fulfilled'),
    ...Array.from({ length: 3 }, () => 'rejected'),
  ]);
  await trials.close();
  await expect(trials.try({ settings, seen })).rejects.toMatchObject({ code: 'LIMIT_REACHED' });
});
