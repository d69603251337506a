import type { Detection } from '../core/detection.ts';
import type { PublishedFrame } from '../core/frame.ts';

/** Steps per pixel and per unit of score. No detector is more precise; more digits would only make files larger. */
const BOX_STEPS = 100;
const SCORE_STEPS = 10_000;

export function roundPx(px: number): number {
  return Math.round(px * BOX_STEPS) / BOX_STEPS;
}

export function roundScore(score: number): number {
  return Math.round(score * SCORE_STEPS) / SCORE_STEPS;
}

/** The parts of a result that are written. */
export type WrittenFrame = Omit<PublishedFrame, 'streamId' | 'times'>;

/**
 * Returns a result as one line of JSON, without the line break. Format: `docs/operations.md`.
 *
 * @param run - distinguishes the runs of a pipeline in one file; absent if a file holds a single run.
 */
export function resultLine(frame: WrittenFrame, source: string, run?: string): string {
  return JSON.stringify({
    source,
    frame: frame.frame,
    ptsUs: frame.ptsUs,
    width: frame.width,
    height: frame.height,
    by: frame.by,
    ...(frame.fence === undefined ? {} : { fence: frame.fence }),
    ...(run === undefined ? {} : { run }),
    detections: frame.detections.map(roundDetection),
  });
}

function roundDetection({ classId, label, score, box, trackId }: Detection): Detection {
  const [x, y, width, height] = box;
  const rounded: Detection = {
    classId,
    label,
    score: roundScore(score),
    box: [roundPx(x), roundPx(y), roundPx(width), roundPx(height)],
  };
  return trackId === undefined ? rounded : { ...rounded, trackId };
}
