/** Latencies counted by their length. All hosts count in the same buckets, so that counts of different hosts add up. */
import { z } from 'zod';
import type { FrameTimes } from '../../base/core/frame.ts';
import { amount, count, record } from './bounds.ts';

export type { LatencyCounts, LatencyHistogram } from './keys/reports.ts';

/**
 * Stages of a frame's latency. decode: captured to decoded; preprocess: to preprocessed; queue: to batched;
 * infer: to inferred; publish: to published (waiting for earlier frames of the same stream included).
 */
export const LATENCY_STAGES = ['decode', 'preprocess', 'queue', 'infer', 'publish'] as const;
/** A stage of a frame's latency. */
export type LatencyStage = (typeof LATENCY_STAGES)[number];

/** The times between which a frame is in a stage. */
export const STAGE_BOUNDS = {
  decode: ['captured', 'decoded'],
  preprocess: ['decoded', 'preprocessed'],
  queue: ['preprocessed', 'batched'],
  infer: ['batched', 'inferred'],
  publish: ['inferred', 'published'],
} as const satisfies Record<LatencyStage, readonly [keyof FrameTimes, keyof FrameTimes]>;

export const forStages = <T>(each: (stage: LatencyStage) => T): Record<LatencyStage, T> =>
  Object.fromEntries(LATENCY_STAGES.map((stage) => [stage, each(stage)])) as Record<LatencyStage, T>;

/** Of each power of ten: what people write as targets, each at most 1.34 times the one before. */
const STEPS = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8];

/** Upper edges of the buckets, in milliseconds, ascending: 1 ms to a minute. What is longer is in a last bucket without an edge. */
export const LATENCY_EDGES_MS: readonly number[] = [
  // Rounded, since a product of decimal fractions is not exact.
  ...[1, 10, 100, 1000].flatMap((decade) => STEPS.map((step) => Math.round(step * decade * 10) / 10)),
  ...[10_000, 20_000, 30_000, 60_000],
];

/** Latencies since the start, by their length. */
export const latencyHistogram = record('LatencyHistogram', {
  counts: z
    .array(count)
    .max(LATENCY_EDGES_MS.length + 1)
    .describe('Frames in each bucket, the shortest first; buckets at the end without frames are left out.'),
  sumMs: amount.describe('Sum of all latencies, in milliseconds.'),
});

/** The latencies of all frames of a stream since it began. */
export const latencyCounts = record('LatencyCounts', {
  ...latencyHistogram.shape,
  late: count.describe('Frames that took longer than the target at that time.'),
  stageSumsMs: z.object(forStages(() => amount)).describe('Sum of each stage, in milliseconds.'),
});
