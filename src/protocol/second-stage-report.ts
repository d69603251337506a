import { z } from 'zod';
import { amount, count, id, name } from './bounds.ts';

/** Why a second stage did not look at an object that it wanted to look at. Every skip has one of these reasons. */
export const SKIP_REASONS = {
  max: 'Its frame had more objects than `max`.',
  'queue-full': 'Too many objects, or too many frames of a live stream, waited already.',
  stale: 'Older than two seconds when its batch closed; only in live streams.',
  'engine-failed': 'The inference thread that held it failed or hung, or the second stage rests after that.',
  'no-picture': 'The frame has no full picture: it was pushed, or the camera was away when its stream was opened.',
  stopped: 'Its stream was paused, changed or removed, or the second stage was replaced.',
} as const;

/** Why a second stage did not look at an object. */
export type SkipReason = keyof typeof SKIP_REASONS;

/** What became of the objects that a second stage wanted to look at: wanted = looked + skipped + inFlight, exactly. */
export interface SecondStageReport {
  /** Name of the second stage. */
  readonly name: string;
  /** Name of its model. */
  readonly model: string;
  /** Engine and precision as executed, such as `onnx f32`. */
  readonly engine: string;
  /** Times that an object was due. */
  readonly wanted: number;
  /** Those that the model has seen. */
  readonly looked: number;
  /** Those that it has not seen, by reason; reasons that did not occur are absent. */
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
  /** Those that wait, or are being inferred. */
  readonly inFlight: number;
  /** Objects per second that it looked at, in the last five seconds. */
  readonly fps: number;
  /** From the choice of an object to what was found, in the last ten seconds, in milliseconds: median and 99th percentile. */
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** Number of calls by the objects in each. */
  readonly batches: Readonly<Record<string, number>>;
}

const secondStageReport = z.object({
  name: id,
  model: name,
  engine: name,
  ...{ wanted: count, looked: count, inFlight: count, fps: amount },
  skipped: z.record(name, count).refine((reasons) => Object.keys(reasons).length <= 64, 'expected at most 64 reasons'),
  latencyMs: z.object({ p50: amount, p99: amount }),
  batches: z.record(z.string().regex(/^\d{1,6}$/), count),
});

/** Most second stages that a report carries. */
const MOST_STAGES = 100;

/** The second stages in the report of a host. */
export interface SecondStageFigures {
  /** Each second stage; absent without, and from older hosts. */
  readonly secondStages?: readonly SecondStageReport[];
}
export const secondStageFigures = { secondStages: z.array(secondStageReport).max(MOST_STAGES).optional() };

/** Returns wanted - looked - skipped - inFlight. Anything but 0 is a bug. */
export function lookGap({
  wanted,
  looked,
  skipped,
  inFlight,
}: Pick<SecondStageReport, 'wanted' | 'looked' | 'skipped' | 'inFlight'>): number {
  return wanted - looked - Object.values(skipped).reduce((sum, each) => sum + each, 0) - inFlight;
}
