import type { BusTopic } from '../../src/wire/protocol/fleet.ts';
import { publishedFrame } from './runtime-double.ts';
import { hostReport, streamReport } from './sample-reports.ts';

const person = { classId: 0, label: 'person', score: 0.9, box: [1.5, 2, 30, 40], trackId: 7 } as const;
const frame = {
  ...publishedFrame('gate', 1, [person, { ...person, trackId: 8 }]),
  fence: 7,
  run: '2026-03-01T06:00:00.000Z',
  capturedAtMs: 1_700_000_000_000,
  captureClock: 'arrival',
  crossings: [{ lineId: 'door', trackId: 7, label: 'person', direction: 'left-to-right', ptsUs: -40_000 }],
  zones: [{ id: 'yard', inside: 2 }],
} as const;

/** A valid body of each topic, of stream `gate`, with every field. */
const BUS_SAMPLES: Readonly<Record<BusTopic, unknown>> = {
  stats: {
    timeMs: 1_700_000_000_000,
    streams: [{ ...streamReport('gate'), fence: 7, host: 'host-1' }],
    failures: [{ id: 'yard', fence: 8, message: 'yard.mp4: no such file' }],
    host: hostReport(),
  },
  events: {
    type: 'event',
    timeMs: 1_700_000_000_000,
    kind: 'target-missed',
    stream: 'gate',
    host: 'host-1',
    message: '17 frames/s',
    details: { fps: 17.2, isLate: true, code: null, unit: 'fps' },
    rule: {
      id: 'e1',
      seq: 0,
      phase: 'new',
      rule: 'yard',
      kind: 'dwells',
      stream: 'gate',
      reason: 'person 1 stays',
      began: { ptsUs: 1 },
      raised: { ptsUs: 2 },
      label: 'person',
    },
  },
  detections: frame,
  preview: { frame, jpeg: 'AAEC' },
  wake: { hosts: ['host-1', 'host-2'] },
  rollout: { pipeline: 'people' },
  observations: {
    pipeline: 'people',
    rollout: 'rollout-1',
    step: 1,
    observations: [
      {
        stream: 'gate',
        side: 'candidate',
        frames: 25,
        dropped: 0,
        failed: 0,
        latenciesMs: [20, 21.5],
        boxes: 30,
        scoreSum: 21.5,
        deviceMs: 200,
        fpsAttained: 25,
        seconds: 1,
      },
      { stream: 'gate', frame: 7, control: [person], candidate: [person] },
    ],
    failure: null,
  },
};

/** The same after a JSON round trip. */
export function busSample(topic: BusTopic): unknown {
  return JSON.parse(JSON.stringify(BUS_SAMPLES[topic])) as unknown;
}
