import { decode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PublishedFrame } from '../../../../src/base/core/frame.ts';
import type { PtsUs } from '../../../../src/base/core/units.ts';
import {
  detectionsMessage,
  encodeMessage,
  previewMessage,
  SharedMessage,
  StatsParts,
} from '../../../../src/serve/gateway/feed-encoding.ts';
import { EVENT_KINDS, type ServerMessage, TOPICS } from '../../../../src/wire/protocol/feed.ts';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { publishedFrame, RuntimeDouble } from '../../../support/runtime-double.ts';
import { hostReport, scaleReport, streamReport } from '../../../support/sample-reports.ts';

const round = (value: number, scale: number): number => Math.round(value * scale) / scale;

/** Undoes what f32 adds: the decimals that docs/wire-protocol.md states. */
function withStatedDecimals<T extends ServerMessage<Uint8Array>>(message: T): T {
  if (message.type !== 'detections' && message.type !== 'preview') return message;
  const detections = message.detections.map((detection) => ({
    ...detection,
    score: round(detection.score, 10_000),
    box: detection.box.map((value) => round(value, 10)),
  }));
  return { ...message, latencyMs: round(message.latencyMs, 100), detections };
}

const tenths = fc.integer({ min: 0, max: 163_840 }).map((value) => value / 10);
const detection = fc.record(
  {
    classId: fc.nat(999),
    label: fc.string(),
    score: fc.integer({ min: 0, max: 10_000 }).map((value) => value / 10_000),
    box: fc.tuple(tenths, tenths, tenths, tenths),
    trackId: fc.nat(2 ** 31),
  },
  { requiredKeys: ['classId', 'label', 'score', 'box'] },
);
const frameFields = {
  stream: fc.string({ minLength: 1 }),
  frame: fc.nat(Number.MAX_SAFE_INTEGER),
  ptsUs: fc.nat(Number.MAX_SAFE_INTEGER),
  width: fc.nat(16_384),
  height: fc.nat(16_384),
  by: fc.constantFrom('inferred' as const, 'tracked' as const, 'unchanged' as const),
  latencyMs: fc.integer({ min: 0, max: 6_000_000 }).map((value) => value / 100),
  detections: fc.array(detection, { maxLength: 20 }),
};
const word = fc.string({ minLength: 1 }).filter((key) => key !== '__proto__');
const crossing = fc.record({
  lineId: word,
  trackId: fc.nat(),
  label: fc.string(),
  ptsUs: fc.maxSafeInteger(),
  direction: fc.constantFrom('left-to-right' as const, 'right-to-left' as const),
});
/** What only some messages of a frame have. */
const added = fc.record(
  {
    run: fc.string(),
    capturedAt: fc.string(),
    captureClock: fc.constantFrom('arrival', 'sender-report'),
    fence: fc.nat(),
    crossings: fc.array(crossing, { maxLength: 3 }),
    zones: fc.dictionary(word, fc.nat(), { noNullPrototype: true, maxKeys: 3 }),
  },
  { requiredKeys: [] },
);
const withAdded = <T extends object>(frames: fc.Arbitrary<T>) =>
  fc.tuple(frames, added).map(([frame, more]) => ({ ...frame, ...more }));
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const timeMs = fc.nat(Number.MAX_SAFE_INTEGER);
const details = fc.dictionary(
  fc.string().filter((key) => key !== '__proto__'),
  fc.oneof(fc.string(), finite, fc.boolean(), fc.constant(null)),
  { noNullPrototype: true },
);
const message = fc.oneof(
  fc.record({
    type: fc.constant('hello' as const),
    protocol: fc.constant(1 as const),
    version: fc.string(),
    topics: fc.subarray([...TOPICS]),
    streams: fc.array(fc.string()),
  }),
  fc.record({
    type: fc.constant('stats' as const),
    seq: fc.nat(),
    timeMs,
    streams: fc.array(
      fc.record({ fps: finite, queueDepth: fc.nat() }).map((odd) => ({ ...streamReport('a'), ...odd })),
    ),
    host: finite.map((cpuCores) => ({ ...hostReport(), cpuCores })),
    droppedMessages: fc.nat(),
  }) as fc.Arbitrary<never>,
  withAdded(fc.record({ type: fc.constant('detections' as const), ...frameFields })),
  withAdded(
    fc.record({ type: fc.constant('preview' as const), ...frameFields, jpeg: fc.uint8Array({ maxLength: 300 }) }),
  ),
  fc.record(
    {
      type: fc.constant('event' as const),
      timeMs,
      kind: fc.constantFrom(...EVENT_KINDS),
      stream: fc.string(),
      host: fc.string(),
      message: fc.string({ unit: 'grapheme' }),
      details,
    },
    { requiredKeys: ['type', 'timeMs', 'kind', 'message'] },
  ),
  fc.record({
    type: fc.constant('error' as const),
    error: fc.record({ code: fc.constant('PROTOCOL_INVALID' as const), message: fc.string(), details }),
  }),
) as fc.Arbitrary<ServerMessage<Uint8Array>>;

describe('every message', () => {
  it('says the same in both formats', () => {
    fc.assert(
      fc.property(message, (original) => {
        const binary = encodeMessage(original, 'msgpack');
        expect(binary.isBinary).toBe(true);
        expect(withStatedDecimals(decode(binary.bytes) as ServerMessage<Uint8Array>)).toEqual(original);

        const text = encodeMessage(original, 'json');
        expect(text.isBinary).toBe(false);
        const read = JSON.parse(Buffer.from(text.bytes).toString()) as ServerMessage;
        const asBytes =
          read.type === 'preview' ? { ...read, jpeg: new Uint8Array(Buffer.from(read.jpeg, 'base64')) } : read;
        expect(asBytes).toEqual(original);
      }),
      { numRuns: 500 },
    );
  });

  it('leaves out keys without a value in both formats', () => {
    const event = { type: 'event', timeMs: 1, kind: 'target-met', message: 'ok', stream: undefined } as never;
    expect(Object.keys(decode(encodeMessage(event, 'msgpack').bytes) as object)).not.toContain('stream');
    expect(Buffer.from(encodeMessage(event, 'json').bytes).toString()).not.toContain('stream');
  });

  it('with fractions takes five bytes for each in MessagePack', () => {
    const sizeOf = (score: number): number => {
      const { detections: _, ...fields } = publishedFrame('gate', 1);
      const boxed = { classId: 0, label: 'person', score, box: [0, 0, 0, 0] } as const;
      const one = { type: 'detections', stream: 'gate', latencyMs: 42, ...fields, detections: [boxed] };
      return encodeMessage(one as never, 'msgpack').bytes.length;
    };
    // MessagePack: the integer 1 is one byte, an f32 is 0xca and four bytes.
    expect(sizeOf(0.9123) - sizeOf(1)).toBe(4);
  });
});

describe('stats', () => {
  const streams = Array.from({ length: 20 }, (_, index) => streamReport(`camera-${index}`));
  const fleet = { hosts: [], placement: { placed: 1, waiting: 0, paused: 0 }, scale: scaleReport(2) } as never;

  it.each([
    ['of one host', {}],
    ['of a fleet', { fleet }],
  ])('%s have equal content in both formats, for all streams and for some', (_, extra) => {
    const parts = new StatsParts(41, { timeMs: 1_700_000_041_000, streams, host: hostReport(), ...extra });
    for (const wanted of ['all', new Set(['camera-3', 'camera-17', 'gone']), new Set(['gone'])] as const) {
      const text = JSON.parse(Buffer.from(parts.encode('json', wanted, 300).bytes).toString()) as object;
      expect(decode(parts.encode('msgpack', wanted, 300).bytes)).toEqual(text);
      expect(text).toEqual({
        type: 'stats',
        seq: 41,
        timeMs: 1_700_000_041_000,
        streams: streams.filter(({ id }) => wanted === 'all' || wanted.has(id)),
        host: hostReport(),
        ...extra,
        droppedMessages: 300,
      });
    }
  });
});

describe('a shared message', () => {
  it('is made once, and encoded once for each format', () => {
    let made = 0;
    const shared = new SharedMessage(() => {
      made += 1;
      return { type: 'event', timeMs: 1, kind: 'target-met', message: 'ok' };
    });
    const [first, second] = [shared.renderAs('msgpack')(), shared.renderAs('msgpack')()];
    expect(second.bytes).toBe(first.bytes);
    expect(shared.renderAs('json')().bytes).toBe(shared.renderAs('json')().bytes);
    expect(made).toBe(1);
  });

  it('is not made if no client takes it', () => {
    const shared = new SharedMessage(() => expect.unreachable());
    shared.renderAs('json');
  });
});

describe('many clients', () => {
  it('share one message, whatever their formats', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const clients = await Promise.all(Array.from({ length: 12 }, () => FeedSocket.open(url)));
    clients.forEach((client, index) => {
      client.say({ type: 'subscribe', topics: ['detections'], format: index % 2 === 0 ? 'json' : 'msgpack' });
    });
    await Promise.all(clients.map((client) => client.settle()));
    let reads = 0;
    const counted = Object.defineProperty(publishedFrame('gate', 1), 'detections', {
      get: () => {
        reads += 1;
        return [];
      },
    });
    port.publish(counted);
    await Promise.all(clients.map((client) => client.settle()));
    for (const client of clients) expect(client.of('detections').length + client.binaryOf('detections').length).toBe(1);
    expect(reads).toBe(1);
  });
});

describe('two clients, one in each format', () => {
  it('get equal content of every topic; hello and errors are JSON for both', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const { url } = await openGateway(port);
    const [text, binary] = [await FeedSocket.open(url), await FeedSocket.open(url)];
    text.say({ type: 'subscribe', topics: TOPICS });
    binary.say({ type: 'subscribe', topics: TOPICS, format: 'msgpack' });
    await Promise.all([text.settle(), binary.settle()]);
    expect(binary.messages.map(({ type }) => type)).toEqual(['hello', 'error']);

    const person = {
      classId: 0,
      label: 'person',
      score: 0.912345678,
      box: [10.04, 20.06, 30, 40],
      trackId: 7,
    } as const;
    const frame: PublishedFrame = publishedFrame('gate', 25, [person, { ...person, trackId: 8 }]);
    const jpeg = Uint8Array.from({ length: 1000 }, (_, index) => index % 256);
    port.publish(frame);
    port.preview(frame, jpeg);
    port.emitEvent({ type: 'event', timeMs: 1, kind: 'stream-warning', stream: 'gate', message: 'Störung: 火' });
    port.tick();
    await Promise.all([
      text.until(() => text.of('stats').length === 2),
      binary.until(() => binary.binaryOf('stats').length === 2),
    ]);

    expect(binary.binaryOf('stats')).toEqual(text.of('stats'));
    expect(binary.binaryOf('event')).toEqual(text.of('event'));
    expect(binary.binaryOf('detections').map(withStatedDecimals)).toEqual(text.of('detections'));
    const [picture] = binary.binaryOf('preview').map(withStatedDecimals);
    const { jpeg: base64, ...fields } = text.of('preview')[0]!;
    expect({ ...picture, jpeg: null }).toEqual({ ...fields, jpeg: null });
    for (const received of [Buffer.from(picture!.jpeg), Buffer.from(base64, 'base64')])
      expect(received).toEqual(Buffer.from(jpeg));
    expect(text.binary).toEqual([]);
  });

  it.each(['json', 'msgpack'] as const)('say in %s which picture has no boxes of its own', async (format) => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const client = await FeedSocket.open(url);
    client.say({ type: 'subscribe', topics: ['preview'], format });
    await client.settle();
    const frame = publishedFrame('gate', 25);
    const received = () => (format === 'json' ? client.of('preview') : client.binaryOf('preview'));
    const pictures = [{}, { pictureUs: (frame.ptsUs + 400_000) as PtsUs }, { hasResult: false }] as const;
    for (const [i, which] of pictures.entries()) {
      port.preview(frame, Uint8Array.of(1), which);
      await client.until(() => received().length === i + 1);
    }
    expect(received().map(({ by, pictureUs, ptsUs }) => [by, pictureUs, ptsUs])).toEqual([
      ['inferred', undefined, frame.ptsUs],
      ['inferred', frame.ptsUs + 400_000, frame.ptsUs],
      [undefined, undefined, frame.ptsUs],
    ]);
  });

  it('can differ by topic on one connection, and a new subscription changes the format', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const client = await FeedSocket.open(url);
    client.say({ type: 'subscribe', topics: ['detections'], format: 'msgpack' });
    client.say({ type: 'subscribe', topics: ['events'] });
    await client.settle();
    port.publish(publishedFrame('gate', 1));
    port.emitEvent({ type: 'event', timeMs: 1, kind: 'target-met', message: 'ok' });
    await client.until(() => client.of('event').length === 1);
    expect(client.binaryOf('detections').map(({ frame }) => frame)).toEqual([1]);

    client.say({ type: 'subscribe', topics: ['detections'] });
    await client.settle();
    port.publish(publishedFrame('gate', 2));
    await client.until(() => client.of('detections').length === 1);
    expect(client.of('detections')[0]!.frame).toBe(2);
    expect(client.binaryOf('detections')).toHaveLength(1);
  });
});

describe('a slow client in MessagePack', () => {
  it('does not delay a fast one in JSON, and gets the newest picture', async () => {
    const pictures = 120;
    // Large enough to fill the kernel's buffers with a few dozen pictures.
    const jpeg = new Uint8Array(200_000).fill(7);
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const [slow, fast] = [await FeedSocket.open(url), await FeedSocket.open(url)];
    slow.say({ type: 'subscribe', topics: ['stats', 'preview'], format: 'msgpack' });
    fast.say({ type: 'subscribe', topics: ['stats', 'preview'] });
    await Promise.all([slow.settle(), fast.settle()]);

    slow.socket.pause();
    for (let frame = 0; frame < pictures; frame += 1) {
      port.preview(publishedFrame('gate', frame), jpeg);
      await fast.until(() => fast.of('preview').length === frame + 1);
    }
    port.tick();
    await fast.until(() => fast.of('stats').length === 2);
    expect(fast.of('stats')[1]!.droppedMessages).toBe(0);

    slow.socket.resume();
    await slow.until(() => slow.binaryOf('stats').length === 2);
    const seen = slow.binaryOf('preview').map(({ frame }) => frame);
    expect(seen.length).toBeLessThan(pictures);
    expect(seen.at(-1)).toBe(pictures - 1);
    expect(slow.binaryOf('stats')[1]!.droppedMessages).toBe(pictures - seen.length);
  });
});

it('attributes of second stages are in messages of frames, and vectors are not', () => {
  const like = { vector: [0.6, 0.8], atUs: 5 };
  const plate = { label: 'A1', score: 0.8123, atUs: 5 };
  const object = { classId: 2, label: 'car', score: 0.9, box: [1, 2, 3, 4] as const, trackId: 7 };
  const detections = [
    { ...object, attributes: { plate, like } },
    { ...object, attributes: { like } },
    { ...object, parent: 7, trackId: 8 },
  ];
  const frame = publishedFrame('gate', 1, detections);
  const shown = [{ ...object, attributes: { plate } }, object, { ...object, trackId: 8, parent: 7 }];
  expect(detectionsMessage(frame).detections).toEqual(shown);
  expect(previewMessage({ frame, jpeg: new Uint8Array() }).detections).toEqual(shown);
});
