import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { openSinks } from '../../src/after/sinks/open-sinks.ts';
import type { ResultSinks } from '../../src/after/sinks/result-sinks.ts';
import { type SinkConfig, sinkConfig } from '../../src/after/sinks/sink-kinds.ts';
import type { CloudEvent } from '../../src/wire/protocol/rule-event.ts';
import { type EventRig, kafkaRig, mosquittoRig, natsRig, redisRig, webhookRig } from '../support/event-rigs.ts';
import { TextSink } from '../support/text-sink.ts';
import { waitFor } from '../support/wait-for.ts';
import { eventOf } from '../unit/after/sinks/events.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-event-sinks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type EventKind = 'webhook' | 'mqtt' | 'redis-streams' | 'nats' | 'kafka';
/** Why the other kinds that send events are not here. The type demands a new one in one of the lists; the last three send none. */
const ELSEWHERE: Readonly<Record<Exclude<SinkConfig['type'], EventKind | 'coco' | 'video' | 'parquet'>, string>> = {
  jsonl: 'test/unit/after/sinks/jsonl-sink.test.ts: it writes a file',
  mail: 'test/unit/after/sinks/mail-sink.test.ts: a server of its own, which can answer anything',
};
const RIGS: Readonly<Record<EventKind, { readonly missing: string | null; open(): Promise<EventRig> }>> = {
  webhook: webhookRig,
  mqtt: mosquittoRig,
  'redis-streams': redisRig,
  nats: natsRig,
  kafka: kafkaRig,
};

interface Opened {
  readonly sinks: ResultSinks;
  readonly texts: string[];
}

async function open(type: string, settings: object): Promise<Opened> {
  const texts: string[] = [];
  const sinks = await openSinks([sinkConfig.parse({ type, send: ['events'], ...settings })], {
    classes: ['person'],
    stdout: new TextSink(),
    onFailure: ({ message, details }) => texts.push(JSON.stringify([message, details])),
    onRecovery: () => undefined,
    onNotice: (text) => texts.push(text),
  });
  return { sinks, texts };
}

/** Publishes events of two streams in turn, as live streams do. */
function raise({ sinks }: Opened, from: number, to: number): void {
  for (let number = from; number < to; number += 1)
    sinks.publishEvent(eventOf(number, { stream: number % 2 === 0 ? 'door' : 'yard' }), false);
}

function accounted({ sinks }: Opened): number {
  const { sent, waiting, lost } = sinks.reports[0]!;
  return sent + waiting + Object.values(lost).reduce((sum, each) => sum + each, 0);
}

/** The numbers of events, once each, in the order in which the reader first saw them. */
function numbersOf(events: readonly CloudEvent[], stream: string): number[] {
  const numbers = events
    .filter(({ source }) => source === `/streams/${stream}`)
    .map(({ id }) => Number(/\d+/.exec(id)![0]));
  return [...new Set(numbers)];
}

/** What a reader that drops doubles must have got. */
function expectAll(events: readonly CloudEvent[], count: number): void {
  const all = Array.from({ length: count }, (_, number) => number);
  expect(numbersOf(events, 'door')).toEqual(all.filter((number) => number % 2 === 0));
  expect(numbersOf(events, 'yard')).toEqual(all.filter((number) => number % 2 === 1));
}

it('each kind of sink that sends events is in this test, or its reason says where', () => {
  expect(Object.values(ELSEWHERE).every((reason) => reason.length > 0)).toBe(true);
});

describe.each(Object.entries(RIGS))('events of a sink of the kind %s', (type, { missing, open: openRig }) => {
  let rig: EventRig;
  let disk: string;
  beforeEach(async () => {
    disk = mkdtempSync(join(folder, `${type}-`));
    if (missing !== null) return;
    rig = await openRig();
    return () => rig.close();
  });
  const settings = (more: object = {}): object => ({ ...rig.settings, spoolFolder: join(disk, 'spool'), ...more });
  const waitFor = async (count: number): Promise<CloudEvent[]> => {
    await expect
      .poll(async () => new Set((await rig.received()).map(({ id }) => id)).size, { timeout: 60_000 })
      .toBe(count);
    return rig.received();
  };

  it.skipIf(missing !== null)('arrive once and in order, as they were raised, also over a restart', async () => {
    const first = await open(type, settings());
    raise(first, 0, 60);
    await waitFor(60);
    expect(await first.sinks.close()).toEqual([]);
    const second = await open(type, settings());
    raise(second, 60, 100);
    const events = await waitFor(100);
    expect(await second.sinks.close()).toEqual([]);
    expectAll(events, 100);
    expect(events).toHaveLength(100);
    expect(events.find(({ id }) => id === 'event-7.0')!.data).toEqual(eventOf(7, { stream: 'yard' }));
    expect(first.sinks.reports[0]).toMatchObject({ sent: 60, waiting: 0 });
  });

  it.skipIf(missing !== null)(
    'are followed by their pictures, also from a spool that an earlier process left',
    async () => {
      await rig.stop();
      const first = await open(type, settings({ snapshot: 'data' }));
      const channel = first.sinks.channel(first.sinks.reports[0]!.id);
      const jpeg = Buffer.alloc(100_000, 7);
      channel.openSnapshots!().send(eventOf(0), '/link', jpeg);
      channel.publishEvent!(eventOf(0), false);
      await expect.poll(() => first.sinks.reports[0]!.problem, { timeout: 60_000 }).not.toBeNull();
      expect([channel.openSnapshots!().figures.pending, channel.figures.waiting]).toEqual([1, 1]);
      expect(await first.sinks.close()).toEqual([]);
      await rig.start();
      const second = await open(type, settings({ snapshot: 'data' }));
      const later = second.sinks.channel(second.sinks.reports[0]!.id);
      const { figures } = later.openSnapshots!();
      expect(figures.sent).toBe(0);
      const events = await waitFor(2);
      expect(events.map(({ id }) => id)).toEqual(['event-0.0', 'event-0.snapshot']);
      expect(Buffer.from(events[1]!.data.jpeg!, 'base64').equals(jpeg)).toBe(true);
      await expect.poll(() => later.openSnapshots!().figures).toEqual({ sent: 1, failed: 0, pending: 0 });
      expect(later.figures).toMatchObject({ sent: 1, waiting: 0 });
      expect(await second.sinks.close()).toEqual([]);
    },
  );

  it.skipIf(missing !== null)('that are raised while the broker is away arrive when it is back', async () => {
    const opened = await open(type, settings());
    raise(opened, 0, 20);
    await waitFor(20);
    await rig.stop();
    raise(opened, 20, 200);
    await expect.poll(() => opened.sinks.reports[0]!.problem, { timeout: 60_000 }).not.toBeNull();
    expect(accounted(opened)).toBe(200);
    expect(opened.sinks.reports[0]!.waiting).toBe(180);
    await rig.start();
    expectAll(await waitFor(200), 200);
    await expect.poll(() => opened.sinks.reports[0]).toMatchObject({ problem: null, sent: 200, waiting: 0 });
    expect(await opened.sinks.close()).toEqual([]);
  });

  it.skipIf(missing !== null)('wait on the disk for the next start if the broker stays away', async () => {
    await rig.stop();
    const first = await open(type, settings());
    raise(first, 0, 50);
    expect(await first.sinks.close()).toEqual([]);
    expect(accounted(first)).toBe(50);
    await rig.start();
    const second = await open(type, settings());
    expectAll(await waitFor(50), 50);
    expect(await second.sinks.close()).toEqual([]);
  });

  it.skipIf(missing !== null)('are bounded and counted if it is gone for good', async () => {
    await rig.stop();
    const opened = await open(type, settings({ spoolMaxMb: 0.1 }));
    raise(opened, 0, 3000);
    await expect.poll(() => opened.sinks.reports[0]!.lost.overflow, { timeout: 60_000 }).toBeGreaterThan(0);
    expect(accounted(opened)).toBe(3000);
    await opened.sinks.close();
    expect(accounted(opened)).toBe(3000);
    await rig.start();
    const left = await open(type, settings({ spoolMaxMb: 0.1 }));
    // The newest are kept.
    await expect.poll(async () => numbersOf(await rig.received(), 'yard').at(-1), { timeout: 60_000 }).toBe(2999);
    const numbers = numbersOf(await rig.received(), 'door');
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    await left.sinks.close();
  });

  it.skipIf(missing !== null)('arrive from a broker that hangs, and then answers', async () => {
    const opened = await open(type, settings());
    raise(opened, 0, 10);
    await waitFor(10);
    rig.pause();
    raise(opened, 10, 60);
    await expect
      .poll(() => opened.sinks.reports[0]!.problem, { timeout: 60_000 })
      .toMatch(/no answer|timeout|did not answer/i);
    expect(accounted(opened)).toBe(60);
    rig.resume();
    expectAll(await waitFor(60), 60);
    await expect.poll(() => opened.sinks.reports[0]!.waiting).toBe(0);
    expect(accounted(opened)).toBe(60);
    await opened.sinks.close();
  });

  it.skipIf(missing !== null)('that it refuses are given up and counted, and no message shows a secret', async () => {
    const opened = await open(type, settings({ ...rig.refused, maxAttempts: 1 }));
    raise(opened, 0, 10);
    await expect.poll(() => opened.sinks.reports[0]!.lost.refused, { timeout: 60_000 }).toBe(10);
    expect(accounted(opened)).toBe(10);
    const failures = await opened.sinks.close();
    expect(failures.map(({ code }) => code)).toEqual(['SINK_FAILED']);
    const said = [...opened.texts, ...failures.map(({ message }) => message), JSON.stringify(opened.sinks.reports)];
    expect(said.filter((text) => text.includes('hush-hush'))).toEqual([]);
    expect(await rig.received()).toEqual([]);
  });

  it.skipIf(missing !== null)('wait while it is full, and arrive when it has room', async ({ skip }) => {
    if (rig.fill === null) skip(`no ${type} broker says that it is full`);
    await rig.fill!();
    const opened = await open(type, settings());
    raise(opened, 0, 10);
    await expect.poll(() => opened.sinks.reports[0]!.problem, { timeout: 60_000 }).not.toBeNull();
    expect(opened.sinks.reports[0]).toMatchObject({ sent: 0, waiting: 10 });
    await rig.empty!();
    expectAll(await waitFor(10), 10);
    expect(await opened.sinks.close()).toEqual([]);
  });
});

it('a NATS server that accepts and says nothing gets no connection that stays', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const opened = await open('nats', {
    url: `nats://127.0.0.1:${port}`,
    spoolFolder: mkdtempSync(join(folder, 'mute-')),
  });
  raise(opened, 0, 1);
  await waitFor('the attempt to fail', () => opened.texts.some((text) => text.includes('did not answer')));
  await waitFor('the end of its socket', () => sockets.length > 0 && sockets[0]!.closed);
  await opened.sinks.close();
  await waitFor('the end of all', () => sockets.every(({ closed }) => closed));
  await new Promise((resolve) => server.close(resolve));
}, 60_000);
