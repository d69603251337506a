import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import { streamConfig } from '../../../../src/settings/config/stream.ts';
import {
  assignment,
  deadLetter,
  hostCard,
  jobOrder,
  lease,
  streamOrder,
  task,
} from '../../../../src/wire/protocol/fleet.ts';
import { hostCard as sampleCard, jobOrder as sampleJob } from '../../../support/fleet-plane.ts';

const config = parseStream(
  {
    id: 'gate',
    source: 'rtsp://camera.example/gate',
    track: { lostMs: 500 },
    zones: [
      {
        id: 'door',
        polygon: [
          [0, 0],
          [1, 0],
          [1, 1],
        ],
      },
    ],
  },
  {},
);
const order = { id: 'gate', pipeline: 'street', config, isPaused: false, wantedHost: null, createdMs: 1, revision: 2 };
const RECORDS = {
  card: [hostCard, sampleCard('h1')],
  order: [streamOrder, order],
  assignment: [assignment, { hostId: 'h1', maxFps: 12.5, sinceMs: 1 }],
  lease: [lease, { hostId: 'h1', fence: 7, expiresMs: 9 }],
  job: [jobOrder, sampleJob('nightly')],
  task: [task, { kind: 'merge', jobId: 'nightly', pipeline: 'street', file: 0, segments: 3 }],
  letter: [
    deadLetter,
    {
      taskId: 'nightly/split/0',
      jobId: 'nightly',
      kind: 'split',
      input: '/a.mp4',
      reason: 'x',
      attempts: 5,
      failedMs: 1,
    },
  ],
} as const satisfies Record<string, readonly [z.ZodType, object]>;
type Kind = keyof typeof RECORDS;

describe('records in Redis', () => {
  it.each(Object.keys(RECORDS) as Kind[])('%s: is read unchanged, without keys of newer versions', (kind) => {
    const [schema, record] = RECORDS[kind];
    expect(schema.parse({ ...record, newer: { any: 1 } })).toEqual(record);
  });

  it('an order is read without settings of newer versions, at any depth', () => {
    const newer = {
      ...order,
      config: {
        ...config,
        newer: 1,
        target: { ...config.target, newer: 1 },
        track: { ...(config.track as object), newer: 1 },
        zones: config.zones.map((zone) => ({ ...zone, newer: 1 })),
      },
    };
    expect(streamOrder.parse(newer)).toEqual(order);
    expect(streamConfig.safeParse(newer.config).success, 'where a person writes it, it is a mistake').toBe(false);
  });

  it.each<[Kind, object]>([
    ['card', { capacityFps: 0 }],
    ['card', { capacityFps: 1e12 }],
    ['card', { liveFps: -1 }],
    ['card', { streams: 1.5 }],
    ['card', { pipeline: '' }],
    ['card', { version: undefined }],
    ['card', { model: 'x'.repeat(1000) }],
    ['order', { config: null }],
    ['order', { config: { ...config, maxFps: 'fast' } }],
    ['order', { config: { ...config, source: 'x'.repeat(1e5) } }],
    ['order', { isPaused: 0 }],
    ['order', { wantedHost: '' }],
    ['order', { revision: -1 }],
    ['assignment', { hostId: null }],
    ['assignment', { maxFps: 0 }],
    ['assignment', { sinceMs: 1e300 }],
    ['lease', { fence: 0.5 }],
    ['lease', { fence: 2 ** 60 }],
    ['lease', { expiresMs: null }],
    ['lease', { hostId: undefined }],
    ['job', { inputs: [] }],
    ['job', { inputs: Array(100_001).fill('/a') }],
    ['job', { every: 0 }],
    ['job', { priority: 1e9 }],
    ['job', { track: 'yes' }],
    ['task', { kind: 'shred' }],
    ['task', { file: -1 }],
    ['task', { segments: 1e12 }],
    ['letter', { reason: 7 }],
    ['letter', { attempts: -1 }],
  ])('%s with %j is refused', (kind, change) => {
    const [schema, record] = RECORDS[kind];
    expect(schema.safeParse({ ...record, ...change }).success).toBe(false);
  });
});
