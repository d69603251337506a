import { DETECTION_COLUMNS as COLUMNS } from '../core/detection.ts';
import { iouXywh } from '../geometry/iou.ts';

const SAME_OBJECT_IOU = 0.5;

/** An object counts as found again down to this share of the threshold: one whose score lies at it is no loss. */
const SLACK = 0.5;

/**
 * How far detections are from those expected, smoothly: 0 where they are the same, 1 where nothing is found again. Each detection
 * weighs as much as its score, and is found again as much as the best of its class overlaps it and has its score.
 *
 * @param expected - packed rows `[n, 6]` after suppression; so is `received`.
 */
export function softLoss(expected: Float32Array, received: Float32Array): number {
  const weight = totalScore(expected) + totalScore(received);
  if (weight === 0) return 0;
  return (missing(expected, received) + missing(received, expected)) / weight;
}

function totalScore(rows: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < rows.length; at += COLUMNS) sum += rows[at + 4]!;
  return sum;
}

function missing(wanted: Float32Array, there: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < wanted.length; at += COLUMNS) {
    const score = wanted[at + 4]!;
    // It has no weight, and the ratio of two scores of 0 is not a number.
    if (score === 0) continue;
    let best = 0;
    for (let other = 0; other < there.length; other += COLUMNS) {
      if (there[other + 5] !== wanted[at + 5]) continue;
      const ratio = Math.min(score, there[other + 4]!) / Math.max(score, there[other + 4]!);
      best = Math.max(best, iouOf(wanted, at, there, other) * ratio);
    }
    sum += score * (1 - best);
  }
  return sum;
}

/**
 * Counts which objects two networks agree on, over many pictures.
 *
 * The F1 score of one against the other at IoU 0.5: an object that one of them reports above the threshold is found again where
 * the other has one of its class there with at least half the threshold.
 */
export class AgreementMeter {
  readonly #threshold: number;
  #expected = 0;
  #foundAgain = 0;
  #received = 0;
  #confirmed = 0;

  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** @param expected - packed rows of one picture, down to half the threshold; so is `received`. */
  add(expected: Float32Array, received: Float32Array): void {
    for (const match of matchObjects(expected, this.#threshold, received, this.#threshold)) {
      if (match !== NOT_ASKED) this.#expected += 1;
      if (match >= 0) this.#foundAgain += 1;
    }
    for (const match of matchObjects(received, this.#threshold, expected, this.#threshold)) {
      if (match !== NOT_ASKED) this.#received += 1;
      if (match >= 0) this.#confirmed += 1;
    }
  }

  /** 0 to 1; 1 where neither found anything. */
  get f1(): number {
    return f1Of(this.#expected, this.#foundAgain, this.#received, this.#confirmed);
  }

  /** Objects that the expected side reports. */
  get objects(): number {
    return this.#expected;
  }
}

/** The score of the object is below the threshold of its own side: nobody looks for it. */
export const NOT_ASKED = -2;
/** The other side has no such object. */
export const NOT_FOUND = -1;

/**
 * Finds each object that one side reports among those of the other side: of its class, at IoU 0.5 or more, with at least half the
 * other side's threshold, and each only once.
 *
 * @param wanted - packed rows `[n, 6]`; so is `there`.
 * @returns `[n]`: the row of `there`, or NOT_FOUND, or NOT_ASKED.
 */
export function matchObjects(
  wanted: Float32Array,
  wantedScore: number,
  there: Float32Array,
  thereScore: number,
): Int32Array {
  const matches = new Int32Array(wanted.length / COLUMNS).fill(NOT_ASKED);
  const isTaken = new Uint8Array(there.length / COLUMNS);
  for (let row = 0; row < matches.length; row++) {
    const at = row * COLUMNS;
    if (wanted[at + 4]! < wantedScore) continue;
    let best = NOT_FOUND;
    let bestIou = SAME_OBJECT_IOU;
    for (let other = 0; other < isTaken.length; other++) {
      const bt = other * COLUMNS;
      const isCandidate = there[bt + 4]! >= thereScore * SLACK && there[bt + 5] === wanted[at + 5];
      if (!isCandidate || isTaken[other] === 1) continue;
      const iou = iouOf(wanted, at, there, bt);
      if (iou >= bestIou) [best, bestIou] = [other, iou];
    }
    if (best !== NOT_FOUND) isTaken[best] = 1;
    matches[row] = best;
  }
  return matches;
}

/**
 * The F1 score of one side against the other: the harmonic mean of the share found again and the share confirmed.
 *
 * @returns 0 to 1; 1 where neither reports anything.
 */
export function f1Of(expected: number, foundAgain: number, received: number, confirmed: number): number {
  const recall = expected === 0 ? 1 : foundAgain / expected;
  const precision = received === 0 ? 1 : confirmed / received;
  return recall + precision === 0 ? 0 : (2 * recall * precision) / (recall + precision);
}

function iouOf(a: Float32Array, at: number, b: Float32Array, bt: number): number {
  return iouXywh(a[at]!, a[at + 1]!, a[at + 2]!, a[at + 3]!, b[bt]!, b[bt + 1]!, b[bt + 2]!, b[bt + 3]!);
}
