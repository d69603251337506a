import { DETECTION_COLUMNS as COLUMNS } from '../core/detection.ts';
import { iouXywh } from '../geometry/iou.ts';
import { matchBoxes } from '../geometry/match-boxes.ts';

/** Share of the threshold down to which an object counts as found again: a score that slips just below the threshold is no loss. */
const SLACK = 0.5;

/**
 * Measures how far detections are from those expected, without thresholds: 0 if they are the same, 1 if nothing is found again.
 * Each detection has its score as its weight. How well it is found again is the IoU with a detection of its class times the ratio
 * of the lower to the higher score, for the detection where that is largest.
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
 * Counts which objects two networks agree on, over many pictures: the F1 score of one against the other at IoU 0.5. An object that
 * one of them reports at the threshold or above is found again if the other has one of its class there with at least half the
 * threshold.
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

  /** 0 to 1; 1 if neither found anything. */
  get f1(): number {
    return f1Of(this.#expected, this.#foundAgain, this.#received, this.#confirmed);
  }

  /** Objects that the expected side reports. */
  get objects(): number {
    return this.#expected;
  }
}

/** The score of the object is below the threshold of its own side, so it was not looked for. */
export const NOT_ASKED = -2;

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
  const asked = [...matches.keys()].filter((row) => !(wanted[row * COLUMNS + 4]! < wantedScore));
  const found = matchBoxes(asked, there.length / COLUMNS, (row, other) => {
    const at = row * COLUMNS;
    const bt = other * COLUMNS;
    const isPossible = there[bt + 4]! >= thereScore * SLACK && there[bt + 5] === wanted[at + 5];
    return isPossible ? iouOf(wanted, at, there, bt) : 0;
  });
  for (const [i, row] of asked.entries()) matches[row] = found[i]!;
  return matches;
}

/**
 * Returns the F1 score of one side against the other: the harmonic mean of the share found again and the share confirmed.
 *
 * @returns 0 to 1; 1 if neither reports anything.
 */
export function f1Of(expected: number, foundAgain: number, received: number, confirmed: number): number {
  const recall = expected === 0 ? 1 : foundAgain / expected;
  const precision = received === 0 ? 1 : confirmed / received;
  return recall + precision === 0 ? 0 : (2 * recall * precision) / (recall + precision);
}

function iouOf(a: Float32Array, at: number, b: Float32Array, bt: number): number {
  return iouXywh(a[at]!, a[at + 1]!, a[at + 2]!, a[at + 3]!, b[bt]!, b[bt + 1]!, b[bt + 2]!, b[bt + 3]!);
}
