import type { Detection } from '../core/detection.ts';
import type { PublishedFrame } from '../core/frame.ts';

/** A hundredth of a pixel and a ten-thousandth of a score are finer than any detector; more digits are only size. */
const BOX_STEPS = 100;
const SCORE_STEPS = 10_000;

export function roundPx(px: number): number {
  return Math.round(px * BOX_STEPS) / BOX_STEPS;
}

export function roundScore(score: number): number {
  return Math.round(score * SCORE_STEPS) / SCORE_STEPS;
}

/** What of a result is written. */
export type WrittenFrame = Omit<PublishedFrame, 'streamId' | 'times'>;

/**
 * A result as one line of JSON, without the line break: the format that `docs/operations.md` describes.
 *
 * @param run - tells runs of a pipeline that write to one file apart; absent where a file holds one run.
 */
export function resultLine(frame: WrittenFrame, source: string, run?: string): string {
  return JSON.stringify({
    source,
    frame: frame.frame,
    ptsUs: frame.ptsUs,
    width: frame.width,
    height: frame.height,
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
