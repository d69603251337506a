import type { FrameTimes } from '../../base/core/frame.ts';
import type { PartSums } from '../../frame/telemetry/part-times.ts';
import type { Part } from './trial-result.ts';

/** The times of a published frame, and when its camera owed it. */
export interface TimedFrame {
  readonly times: Readonly<FrameTimes>;
  /** Equal to `times.captured` if the frame had no due time: files. */
  readonly dueMs: number;
}

/**
 * Splits the mean latency of frames into its stages. The spans between the times that each frame carries come from the
 * frames themselves; the split of the inference thread's time and the tracker's from sums over the same span.
 *
 * @param sums - of the span in which the frames were published.
 */
export function latencyParts(frames: readonly TimedFrame[], sums: PartSums): Record<Part, number> {
  const mean = (span: (frame: TimedFrame) => number): number =>
    frames.length === 0 ? 0 : frames.reduce((sum, frame) => sum + span(frame), 0) / frames.length;
  // Frames whose result was tracked, repeated or cached spend no time on an inference thread.
  const inferredShare = mean(({ times }) => (times.inferred > times.batched ? 1 : 0));
  const perFrame = (ms: number): number => (sums.inferredFrames === 0 ? 0 : (ms / sums.inferredFrames) * inferredShare);
  const track = sums.trackedFrames === 0 ? 0 : sums.trackMs / sums.trackedFrames;
  const queued = mean(({ times }) => times.batched - times.preprocessed);
  const parts = {
    read: mean(({ times, dueMs }) => times.captured - dueMs),
    decode: mean(({ times }) => times.decoded - times.captured),
    preprocess: mean(({ times }) => times.preprocessed - times.decoded),
    wait: queued + perFrame(sums.threadWaitMs),
    infer: perFrame(sums.inferMs),
    postprocess: perFrame(sums.postprocessMs),
    track,
    publish: mean(({ times }) => times.published - times.inferred) - track,
  };
  const whole = mean(({ times, dueMs }) => times.published - dueMs);
  const accounted = Object.values(parts).reduce((sum, ms) => sum + ms, 0);
  return { ...parts, unaccounted: whole - accounted };
}

export function subtractSums(after: PartSums, before: PartSums): PartSums {
  return combine(after, before, (a, b) => a - b);
}

export function addSums(a: PartSums, b: PartSums): PartSums {
  return combine(a, b, (x, y) => x + y);
}

function combine(a: PartSums, b: PartSums, operation: (x: number, y: number) => number): PartSums {
  const keys = Object.keys(a) as (keyof PartSums)[];
  return Object.fromEntries(keys.map((key) => [key, operation(a[key], b[key])])) as unknown as PartSums;
}

/**
 * Checks Little's law, L = lambda W, between the number of frames in flight as it was counted, and the times that frames
 * carry: a large gap means that frames are counted or timed wrongly.
 *
 * Lambda W is the time that frames were in flight per time measured. In that form the law holds for any span, also where
 * the load changes (J. Little, Little's Law as Viewed on Its 50th Anniversary, 2011).
 *
 * @param inFlight - L, the mean over time.
 * @param residenceMs - sum over all frames of the time that they were in flight within the span.
 * @returns |L - lambda W| / L. Differences below a twentieth of a frame count as none: sampling is not finer.
 */
export function littleLawGap(inFlight: number, residenceMs: number, elapsedMs: number): number {
  const expected = elapsedMs <= 0 ? 0 : residenceMs / elapsedMs;
  const difference = Math.abs(inFlight - expected);
  if (difference < 0.05) return 0;
  return inFlight === 0 ? 1 : difference / inFlight;
}
