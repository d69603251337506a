import type { Box, Detection } from '../core/detection.ts';
import type { CaptureClock, LineCrossing, PublishedFrame, ResultOrigin } from '../core/frame.ts';

/**
 * The result of one frame, as files, webhooks, the feed and the library show it. `stream`, `run` and `frame` identify it; within
 * a stream, neither `run` nor the `frame` of a run goes back. Keys that do not apply are absent. `docs/operations.md` describes
 * each for users.
 */
export interface ResultRecord {
  /** Name of the stream. */
  readonly stream: string;
  /** When the host began to run the stream, as ISO text. Absent for recordings that `detect` or a job reads. */
  readonly run?: string;
  /** Where the pixels come from, credentials redacted. The feed has it in `stats`. */
  readonly source?: string;
  /** Number of the frame in its source, from 0; counting continues across loops, reconnects and changes of settings. */
  readonly frame: number;
  /** Media time in microseconds, from the container. */
  readonly ptsUs: number;
  /** Wall clock at the capture of a frame of a live stream, as ISO text. */
  readonly capturedAt?: string;
  /** Whose clock that is; only with `capturedAt`. */
  readonly captureClock?: CaptureClock;
  /** Width of the picture in source pixels, after rotation and display aspect. */
  readonly width: number;
  /** Height of the picture in source pixels. */
  readonly height: number;
  /** How the result came about. */
  readonly by: ResultOrigin;
  /** Of the lease, in a fleet: drop results with a lower one than the highest seen for the stream. */
  readonly fence?: number;
  /** Objects found in the frame. */
  readonly detections: readonly Detection[];
  /** Crossings that became certain with this frame, possibly none; only of streams with lines. */
  readonly crossings?: readonly LineCrossing[];
  /** Objects inside each zone, by its id; only of streams with zones. */
  readonly zones?: Readonly<Record<string, number>>;
}

/** No detector is more precise; more digits would only make messages larger. */
const SCORE_STEPS = 10_000;

/**
 * Makes the record of a result. The order of its keys is part of the format of files.
 *
 * @param boxSteps - steps per pixel that boxes are rounded to.
 */
export function resultRecord(frame: Omit<PublishedFrame, 'times'>, boxSteps: number, source?: string): ResultRecord {
  const { run, capturedAtMs, captureClock, fence, crossings, zones } = frame;
  return {
    stream: frame.streamId,
    ...(run === undefined ? {} : { run }),
    ...(source === undefined ? {} : { source }),
    frame: frame.frame,
    ptsUs: frame.ptsUs,
    ...(capturedAtMs === undefined ? {} : { capturedAt: new Date(capturedAtMs).toISOString() }),
    ...(captureClock === undefined ? {} : { captureClock }),
    width: frame.width,
    height: frame.height,
    by: frame.by,
    ...(fence === undefined ? {} : { fence }),
    detections: frame.detections.map((detection) => roundDetection(detection, boxSteps)),
    ...(crossings === undefined ? {} : { crossings }),
    ...(zones === undefined ? {} : { zones: Object.fromEntries(zones.map(({ id, inside }) => [id, inside])) }),
  };
}

export function roundDetection({ classId, label, score, box, trackId }: Detection, boxSteps: number): Detection {
  const rounded = { classId, label, score: roundScore(score), box: roundBox(box, boxSteps) };
  return trackId === undefined ? rounded : { ...rounded, trackId };
}

export function roundScore(score: number): number {
  return Math.round(score * SCORE_STEPS) / SCORE_STEPS;
}

/** @param steps - per pixel. */
export function roundBox([x, y, width, height]: Box, steps: number): Box {
  const round = (px: number): number => Math.round(px * steps) / steps;
  return [round(x), round(y), round(width), round(height)];
}
