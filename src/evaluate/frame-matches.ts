import { DETECTION_COLUMNS, type Detection } from '../core/detection.ts';
import { matchObjects } from './agreement.ts';
import type { RecordedFrame, RecordedResults } from './recorded-results.ts';

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
 * An object that one side reports is found again if the other has one of its class at IoU 0.5 with at least half its
 * threshold: a score that slips just below the threshold is no loss. Classes are compared by label, so that two models may number
 * them differently.
 */
export function matchFrames(reference: RecordedResults, candidate: RecordedResults): FrameMatches[] {
  const numbers = new Map<string, number>();
  const byNumber = new Map(candidate.frames.map((frame) => [frame.frame, frame]));
  return reference.frames.flatMap((frame): FrameMatches[] => {
    const other = byNumber.get(frame.frame);
    if (other === undefined) return [];
    const [wanted, got] = [bestFirst(frame), bestFirst(other)];
    const [wantedRows, gotRows] = [pack(wanted, numbers), pack(got, numbers)];
    const { frame: number, ptsUs } = frame;
    return [
      {
        ...{ frame: number, ptsUs, reference: wanted, candidate: got, by: other.by },
        found: matchObjects(wantedRows, reference.scoreThreshold, gotRows, candidate.scoreThreshold),
        confirmed: matchObjects(gotRows, candidate.scoreThreshold, wantedRows, reference.scoreThreshold),
      },
    ];
  });
}

/** Matching is greedy, so the surest object comes first. */
function bestFirst({ detections }: RecordedFrame): Detection[] {
  return detections.toSorted((a, b) => b.score - a.score);
}

/** @returns f32 `[n, 6]`, with the number of the label as its class. */
function pack(detections: readonly Detection[], numbers: Map<string, number>): Float32Array {
  const rows = new Float32Array(detections.length * DETECTION_COLUMNS);
  for (const [i, { box, score, label }] of detections.entries()) {
    if (!numbers.has(label)) numbers.set(label, numbers.size);
    rows.set([...box, score, numbers.get(label)!], i * DETECTION_COLUMNS);
  }
  return rows;
}
