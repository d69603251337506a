import { z } from 'zod';
import { amount, count, countsBy, id, name, record } from './bounds.ts';
import type { SecondStageReport } from './keys/reports.ts';

export type { SecondStageReport } from './keys/reports.ts';

/** Why a second stage did not look at an object that it wanted to look at. Every skip has one of these reasons. */
export const SKIP_REASONS = {
  max: 'Its frame had more objects than `max`.',
  'queue-full': 'Too many objects, or too many frames of a live stream, waited already.',
  stale: 'Older than two seconds when its batch closed; only in live streams.',
  'engine-failed': 'The inference thread that held it failed or hung, or the second stage rests after that.',
  'no-picture': 'The frame has no full picture: it was pushed, or the camera was away when its stream was opened.',
  'no-points':
    'With `align: keypoints`: fewer than two of its key points are seen (a score of 0.5, within the picture), they lie in one place, or the part that they give would be larger than the picture.',
  stopped: 'Its stream was paused, changed or removed, or the second stage was replaced.',
} as const;

/** Why a second stage did not look at an object. */
export type SkipReason = keyof typeof SKIP_REASONS;

/** What became of the objects that a second stage wanted to look at: wanted = looked + skipped + inFlight, exactly. */
const secondStageReport = record('SecondStageReport', {
  name: id.describe('Name of the second stage.'),
  model: name.describe('Name of its model.'),
  engine: name.describe('Engine and precision as executed, such as `onnx f32`.'),
  wanted: count.describe('Times that an object was due.'),
  looked: count.describe('Those that the model has seen.'),
  inFlight: count.describe('Those that wait, or are being inferred.'),
  fps: amount.describe('Objects per second that it looked at, in the last five seconds.'),
  skipped: countsBy(Object.keys(SKIP_REASONS)).describe(
    'Those that it has not seen, by reason; reasons that did not occur are absent.',
  ),
  latencyMs: z
    .object({
      p50: amount,
      p99: amount,
    })
    .describe(
      'From the choice of an object to what was found, in the last ten seconds, in milliseconds: median and 99th percentile.',
    ),
  batches: z.record(z.string().regex(/^\d{1,6}$/), count).describe('Number of calls by the objects in each.'),
});

/** Most second stages that a report carries. */
const MOST_STAGES = 100;

/** The second stages in the report of a host. */
export const secondStageFigures = record('SecondStageFigures', {
  secondStages: z
    .array(secondStageReport)
    .max(MOST_STAGES)
    .optional()
    .describe('Each second stage; absent without, and from older hosts.'),
});

/** Returns wanted - looked - skipped - inFlight. Anything but 0 is a bug. */
export function lookGap({
  wanted,
  looked,
  skipped,
  inFlight,
}: Pick<SecondStageReport, 'wanted' | 'looked' | 'skipped' | 'inFlight'>): number {
  return wanted - looked - Object.values(skipped).reduce((sum, each) => sum + each, 0) - inFlight;
}
