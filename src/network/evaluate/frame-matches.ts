import type { Detection } from '../../base/core/detection.ts';
import { detectionOverlap } from '../../base/geometry/detection-overlap.ts';
import { matchBoxes } from '../../base/geometry/match-boxes.ts';
import type { RecordedFrame, RecordedResults } from './recorded-results.ts';

/** The score of the object is below the threshold of its own side, so it was not looked for. */
export const NOT_ASKED = -2;
/** Share of the threshold down to which an object counts as found again: a score that slips just below the threshold is no loss. */
const SLACK = 0.5;

/** The detections of one frame on both sides, and which of them are the same object. */
export interface FrameMatches {
  readonly frame: number;
  readonly ptsUs: number;
  /** Best score first. */
  readonly reference: readonly Detection[];
  readonly candidate: readonly Detection[];
  /** For each of `reference` its place in `candidate`, NOT_FOUND, or NOT_ASKED if its score is below the reference's threshold. */
  readonly found: Int32Array;
  /** For each of `candidate` the place in `reference`, likewise. */
  readonly confirmed: Int32Array;
  /** How the candidate got its result; absent if it was not recorded. */
  readonly by: RecordedFrame['by'];
}

/**
 * Matches the objects of two runs, frame by frame, in the frames that both published; in the order of the reference.
 *
 * An object that one side reports is found again if the other has one of its class at IoU 0.5 (of masks, oriented boxes, or OKS of keypoints, if its model finds them) with at least half its
 * threshold: a score that slips just below the threshold is no loss. Classes are compared by label, so that two models may number
 * them differently.
 */
export function matchFrames(reference: RecordedResults, candidate: RecordedResults): FrameMatches[] {
  const byNumber = new Map(candidate.frames.map((frame) => [frame.frame, frame]));
  return reference.frames.flatMap((frame): FrameMatches[] => {
    const other = byNumber.get(frame.frame);
    if (other === undefined) return [];
    const [wanted, got] = [bestFirst(frame), bestFirst(other)];
    const { frame: number, ptsUs } = frame;
    const [from, to] = [reference.scoreThreshold, candidate.scoreThreshold];
    return [
      {
        frame: number,
        ptsUs,
        reference: wanted,
        candidate: got,
        by: other.by,
        found: matchObjects(wanted, from, got, to),
        confirmed: matchObjects(got, to, wanted, from),
      },
    ];
  });
}

/** Matching is greedy, so the surest object comes first. */
function bestFirst({ detections }: RecordedFrame): Detection[] {
  return detections.toSorted((a, b) => b.score - a.score);
}

/** Finds each object that one side reports among those of the other side, each only once. @returns `[wanted]`, as `found`. */
function matchObjects(
  wanted: readonly Detection[],
  wantedScore: number,
  there: readonly Detection[],
  thereScore: number,
): Int32Array {
  const matches = new Int32Array(wanted.length).fill(NOT_ASKED);
  const asked = [...wanted.keys()].filter((i) => wanted[i]!.score >= wantedScore);
  const found = matchBoxes(asked, there.length, (i, other) => {
    const { label, score } = there[other]!;
    const isPossible = score >= thereScore * SLACK && label === wanted[i]!.label;
    return isPossible ? detectionOverlap(wanted[i]!, there[other]!) : 0;
  });
  for (const [at, i] of asked.entries()) matches[i] = found[at]!;
  return matches;
}
