import type { Box, Detection } from '../../base/core/detection.ts';
import type { FrameResult, PublishedFrame } from '../../base/core/frame.ts';

/**
 * The result of one frame, as files, webhooks, the feed and the library show it. `stream`, `run` and `frame` identify it; within
 * a stream, neither `run` nor the `frame` of a run goes back. `docs/results.md` describes each key for users.
 */
export interface ResultRecord extends FrameResult {
  /** Name of the stream. */
  readonly stream: string;
  /** Where the pixels come from, credentials redacted. The feed has it in `stats`. */
  readonly source?: string;
  /** Wall clock at the capture of a frame of a live stream, as ISO text. */
  readonly capturedAt?: string;
  /** Objects inside each zone, by its id; only of streams with zones. */
  readonly zones?: Readonly<Record<string, number>>;
}

/** No detector is more precise; more digits would only make messages larger. */
const SCORE_STEPS = 10_000;
/** Steps per degree. */
const ANGLE_STEPS = 100;

/**
 * Makes the record of a result. The order of its keys is part of the format of files.
 *
 * @param boxSteps - steps per pixel that boxes are rounded to.
 */
export function resultRecord(frame: Omit<PublishedFrame, 'times'>, boxSteps: number, source?: string): ResultRecord {
  const { capturedAtMs, zones } = frame;
  const entries: { [K in keyof Required<ResultRecord>]: ResultRecord[K] | undefined } = {
    stream: frame.streamId,
    run: frame.run,
    source,
    frame: frame.frame,
    ptsUs: frame.ptsUs,
    capturedAt: capturedAtMs === undefined ? undefined : new Date(capturedAtMs).toISOString(),
    captureClock: frame.captureClock,
    width: frame.width,
    height: frame.height,
    by: frame.by,
    model: frame.model,
    fence: frame.fence,
    detections: frame.detections.map((detection) => roundDetection(detection, boxSteps)),
    crossings: frame.crossings,
    zones: zones && Object.fromEntries(zones.map(({ id, inside }) => [id, inside])),
  };
  const record: Partial<Record<keyof ResultRecord, unknown>> = {};
  for (const key in entries) {
    const value = entries[key as keyof ResultRecord];
    if (value !== undefined) record[key as keyof ResultRecord] = value;
  }
  return record as ResultRecord;
}

export function roundDetection(detection: Detection, boxSteps: number): Detection {
  const { classId, label, score, box, trackId, parent, attributes, mask, keypoints, angle } = detection;
  const bare: Detection = { classId, label, score: roundScore(score), box: roundBox(box, boxSteps) };
  const rounded: { -readonly [K in keyof Detection]: Detection[K] } = bare;
  if (trackId !== undefined) rounded.trackId = trackId;
  if (parent !== undefined) rounded.parent = parent;
  if (attributes !== undefined) rounded.attributes = attributes;
  if (mask !== undefined) rounded.mask = mask;
  if (keypoints !== undefined) rounded.keypoints = roundKeypoints(keypoints, boxSteps);
  if (angle !== undefined) rounded.angle = Math.round(angle * ANGLE_STEPS) / ANGLE_STEPS;
  return rounded;
}

/** @param keypoints - x, y and score of each in turn. @param steps - per pixel. */
function roundKeypoints(keypoints: readonly number[], steps: number): number[] {
  return keypoints.map((value, i) => (i % 3 === 2 ? roundScore(value) : Math.round(value * steps) / steps));
}

export function roundScore(score: number): number {
  return Math.round(score * SCORE_STEPS) / SCORE_STEPS;
}

/** @param steps - per pixel. */
export function roundBox([x, y, width, height]: Box, steps: number): Box {
  const round = (px: number): number => Math.round(px * steps) / steps;
  return [round(x), round(y), round(width), round(height)];
}

/** Of the boxes of the feed, per pixel. */
export const FEED_BOX_STEPS = 10;

/** Rounds a detection for the feed: f32 values print with 17 digits, and a tenth of a pixel is finer than any detector. */
export function shortened(detection: Detection): Detection {
  return roundDetection(detection, FEED_BOX_STEPS);
}
