import { iouXywh } from '../../src/base/geometry/iou.ts';

/** One box: x, y, width, height in source pixels, score, class id. */
export type BoxRow = readonly [x: number, y: number, width: number, height: number, score: number, classId: number];
export type BoxesPerFrame = readonly (readonly BoxRow[])[];

export interface Agreement {
  readonly frames: number;
  readonly ours: number;
  readonly theirs: number;
  /** Pairs of boxes of the same class that are each other's best match. */
  readonly matched: number;
  /** Matched pairs divided by the mean number of boxes of both sides. */
  readonly ratio: number;
  /** The same, but the other side's box may score 0.3 or more: boxes near the threshold fall on either side of it. */
  readonly ratioOfWeakMatches: number;
  readonly medianIou: number;
  readonly medianScoreDifference: number;
  readonly maxScoreDifference: number;
}

const MIN_SCORE = 0.4;
/** Lowest score that both sides report. */
const WEAK_SCORE = 0.3;
const MIN_IOU = 0.5;

/** Compares the boxes of two detectors, at scores from 0.4, over the frames that both have. */
export function agreement(ours: BoxesPerFrame, theirs: BoxesPerFrame): Agreement {
  const frames = Math.min(ours.length, theirs.length);
  const ious: number[] = [];
  const differences: number[] = [];
  let ourCount = 0;
  let theirCount = 0;
  let weakMatches = 0;
  for (let i = 0; i < frames; i++) {
    const a = from(ours[i]!, MIN_SCORE);
    const b = from(theirs[i]!, MIN_SCORE);
    const weakA = from(ours[i]!, WEAK_SCORE);
    const weakB = from(theirs[i]!, WEAK_SCORE);
    weakMatches += a.filter((row) => bestMatch(row, weakB) !== null).length;
    weakMatches += b.filter((row) => bestMatch(row, weakA) !== null).length;
    ourCount += a.length;
    theirCount += b.length;
    for (const row of a) {
      const mate = bestMatch(row, b);
      if (mate === null || bestMatch(mate, a) !== row) continue;
      ious.push(iou(row, mate));
      differences.push(Math.abs(row[4] - mate[4]));
    }
  }
  const total = ourCount + theirCount;
  return {
    frames,
    ours: ourCount,
    theirs: theirCount,
    matched: ious.length,
    ratio: total === 0 ? 1 : (2 * ious.length) / total,
    ratioOfWeakMatches: total === 0 ? 1 : weakMatches / total,
    medianIou: median(ious),
    medianScoreDifference: median(differences),
    maxScoreDifference: Math.max(0, ...differences),
  };
}

function from(rows: readonly BoxRow[], minScore: number): BoxRow[] {
  return rows.filter((row) => row[4] >= minScore);
}

function bestMatch(row: BoxRow, candidates: readonly BoxRow[]): BoxRow | null {
  let best: BoxRow | null = null;
  let bestIou = MIN_IOU;
  for (const candidate of candidates) {
    if (candidate[5] !== row[5]) continue;
    const value = iou(row, candidate);
    if (value < bestIou) continue;
    best = candidate;
    bestIou = value;
  }
  return best;
}

function iou(a: BoxRow, b: BoxRow): number {
  return iouXywh(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]);
}

/** Returns the median; NaN for an empty list. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
