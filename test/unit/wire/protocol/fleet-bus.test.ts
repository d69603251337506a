import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUS_TOPICS, type BusTopic } from '../../../../src/wire/protocol/fleet.ts';
import {
  busMessage,
  type Reading,
  readEvent,
  readFrame,
  readObservations,
  readPreview,
  readRolloutWake,
  readStats,
  readWake,
} from '../../../../src/wire/protocol/fleet-bus.ts';
import { frameBody, readFrameFast } from '../../../../src/wire/protocol/frame-body.ts';
import { busSample } from '../../../support/bus-samples.ts';
import { mutationsOf } from '../../../support/mutations.ts';

const READERS: Readonly<Record<BusTopic, (body: unknown) => Reading<unknown>>> = {
  stats: readStats,
  events: readEvent,
  detections: readFrame,
  preview: readPreview,
  wake: readWake,
  rollout: readRolloutWake,
  observations: readObservations,
};

/** Returns a valid body with the value at one path changed; undefined removes it. */
function changed(topic: BusTopic, path: string, value: unknown): unknown {
  const body = busSample(topic) as Record<string, unknown>;
  const keys = path.split('.');
  let at = body;
  for (const key of keys.slice(0, -1)) at = at[key] as Record<string, unknown>;
  if (value === undefined) delete at[keys.at(-1)!];
  else at[keys.at(-1)!] = value;
  return body;
}

describe('bodies of the bus', () => {
  it.each(BUS_TOPICS)('%s: a valid one is read unchanged', (topic) => {
    expect(READERS[topic](busSample(topic))).toEqual({ body: busSample(topic) });
  });

  it.each<[BusTopic, string]>([
    ['stats', 'newer'],
    ['stats', 'streams.0.newer'],
    ['stats', 'streams.0.latencyMs.window.p999'],
    ['stats', 'host.device.newer'],
    ['events', 'newer'],
    ['detections', 'newer'],
    ['detections', 'detections.0.newer'],
    ['detections', 'times.newer'],
    ['preview', 'frame.detections.1.newer'],
    ['wake', 'newer'],
    ['rollout', 'newer'],
    ['observations', 'newer'],
    ['observations', 'observations.0.newer'],
    ['observations', 'observations.1.control.0.mask'],
  ])('%s: a key of a newer host is left out (%s)', (topic, path) => {
    expect(READERS[topic](changed(topic, path, { any: 'thing' }))).toEqual({ body: busSample(topic) });
  });

  it.each<[BusTopic, string, unknown]>([
    ['detections', 'detections.0.box', undefined],
    ['detections', 'detections.0.box', [1, 2, 3]],
    ['detections', 'detections.0.box', [1, 2, 3, null]],
    ['detections', 'detections.0.box', [1, 2, 3, 4, 5]],
    ['detections', 'detections.0.box', [1, 2, 3, 1e7]],
    ['detections', 'detections.1', null],
    ['detections', 'detections.0.score', 1.01],
    ['detections', 'detections.0.score', '0.9'],
    ['detections', 'detections.0.label', 'x'.repeat(513)],
    ['detections', 'detections.0.classId', -1],
    ['detections', 'detections.0.trackId', 1.5],
    ['detections', 'detections.0.mask', { size: [720], counts: '' }],
    ['detections', 'detections.0.mask', { size: [720, 1280], counts: 7 }],
    ['detections', 'detections.0.keypoints', [1, '2', 0.5]],
    ['detections', 'detections.0.angle', 91],
    ['detections', 'detections', { length: 2 }],
    ['detections', 'detections', Array(5001).fill(null)],
    ['detections', 'streamId', 'no/id'],
    ['detections', 'frame', -1],
    ['detections', 'frame', 2 ** 53],
    ['detections', 'ptsUs', 0.5],
    ['detections', 'width', 0],
    ['detections', 'height', 1e9],
    ['detections', 'times', undefined],
    ['detections', 'times.published', null],
    ['detections', 'fence', '7'],
    ['preview', 'frame.detections.0.box', undefined],
    ['preview', 'jpeg', undefined],
    ['preview', 'jpeg', { length: 3 }],
    ['stats', 'timeMs', 1e300],
    ['stats', 'streams.0.fence', undefined],
    ['stats', 'streams.0.frames', undefined],
    ['stats', 'streams.0.frames.in', -1],
    ['stats', 'streams.0.frames.dropped', { stale: 0.5 }],
    ['stats', 'streams.0.fps.published', '24'],
    ['stats', 'streams.0.fps.published', null],
    ['stats', 'streams.0.latencyMs', null],
    ['stats', 'streams.0.stagesMs', {}],
    ['stats', 'streams.0.state', 'flying'],
    ['stats', 'streams.0.zones', 7],
    ['stats', 'streams.0.zones', [{ id: 'a/b', inside: 1 }]],
    ['stats', 'streams.0.lines', [{ id: 'a', leftToRight: 1 }]],
    ['stats', 'streams.0.lastError', 'x'.repeat(20_000)],
    ['stats', 'streams', {}],
    ['stats', 'failures.0.message', 5],
    ['stats', 'host', {}],
    ['stats', 'host.batch.histogram', { 'not a size': 1 }],
    ['stats', 'host.busyRatio.infer', -1],
    ['stats', 'host.device.model', 7],
    ['events', 'message', undefined],
    ['events', 'type', 'stats'],
    ['events', 'kind', {}],
    ['events', 'kind', 'Not a kind'],
    ['events', 'stream', ''],
    ['events', 'timeMs', -1],
    ['events', 'details', { nested: {} }],
    ['events', 'rule.stream', 'yard'],
    ['events', 'rule.phase', 'begin'],
    ['events', 'rule.seq', undefined],
    ['events', 'rule.label', { any: 'thing' }],
    ['events', 'details', Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, i]))],
    ['wake', 'hosts', [1, null]],
    ['wake', 'hosts', 'host-1'],
    ['wake', 'hosts', undefined],
  ])('%s with a wrong %s is refused: %j', (topic, path, value) => {
    const reading = READERS[topic](changed(topic, path, value));
    expect(reading).toHaveProperty('complaint');
    const [first] = path.split('.');
    expect((reading as { complaint: string }).complaint, 'it says where').toContain(first);
  });

  it('a wake for one stream has an empty body', () => {
    expect(readWake(null)).toEqual({ body: null });
  });

  it('the fast check of a frame agrees with the schema for every value', () => {
    const bodies = fc.oneof(mutationsOf(busSample('detections')), fc.jsonValue());
    fc.assert(
      fc.property(bodies, (body) => {
        const bySchema = frameBody.safeParse(body);
        expect(readFrameFast(structuredClone(body))).toEqual(bySchema.success ? bySchema.data : null);
      }),
      { numRuns: 3000 },
    );
  });

  it.each(BUS_TOPICS)('%s: no JSON makes a reader throw, and accepted bodies are accepted again unchanged', (topic) => {
    const read = READERS[topic];
    fc.assert(
      fc.property(fc.oneof(mutationsOf(busSample(topic)), fc.jsonValue()), (body) => {
        const reading = read(body);
        if ('body' in reading) expect(read(reading.body)).toEqual(reading);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the envelope of the bus', () => {
  const envelope = { topic: 'detections', hostId: 'h1', stream: 'gate', fence: 7, body: { any: 1 } };

  it('is read without keys of newer hosts', () => {
    expect(busMessage.parse({ ...envelope, newer: 1 })).toEqual(envelope);
  });

  it.each([
    { topic: 'nothing' },
    { hostId: '' },
    { hostId: 7 },
    { hostId: 'x'.repeat(65) },
    { stream: undefined },
    { stream: 'a b' },
    { fence: undefined },
    { fence: -1 },
    { fence: 1.5 },
    { fence: 1e300 },
    { fence: '7' },
  ])('is refused with %j', (change) => {
    expect(busMessage.safeParse({ ...envelope, ...change }).success).toBe(false);
  });
});
