import { iouXywh } from '../geometry/iou.ts';

/** Columns of a packed detection: x, y, width, height, score, classId. */
const COLUMNS = 6;
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
    const forward = this.#match(expected, received);
    const backward = this.#match(received, expected);
    this.#expected += forward.total;
    this.#foundAgain += forward.found;
    this.#received += backward.total;
    this.#confirmed += backward.found;
  }

  /** 0 to 1; 1 where neither found anything. */
  get f1(): number {
    const recall = this.#expected === 0 ? 1 : this.#foundAgain / this.#expected;
    const precision = this.#received === 0 ? 1 : this.#confirmed / this.#received;
    return recall + precision === 0 ? 0 : (2 * recall * precision) / (recall + precision);
  }

  /** Objects that the expected side reports. */
  get objects(): number {
    return this.#expected;
  }

  #match(wanted: Float32Array, there: Float32Array): { total: number; found: number } {
    const taken = new Set<number>();
    let total = 0;
    for (let at = 0; at < wanted.length; at += COLUMNS) {
      if (wanted[at + 4]! < this.#threshold) continue;
      total += 1;
      const match = this.#bestMatch(wanted, at, there, taken);
      if (match !== null) taken.add(match);
    }
    return { total, found: taken.size };
  }

  #bestMatch(wanted: Float32Array, at: number, there: Float32Array, taken: ReadonlySet<number>): number | null {
    let best: number | null = null;
    let bestIou = SAME_OBJECT_IOU;
    for (let other = 0; other < there.length; other += COLUMNS) {
      const isCandidate = there[other + 4]! >= this.#threshold * SLACK && there[other + 5] === wanted[at + 5];
      if (!isCandidate || taken.has(other)) continue;
      const iou = iouOf(wanted, at, there, other);
      if (iou >= bestIou) [best, bestIou] = [other, iou];
    }
    return best;
  }
}

function iouOf(a: Float32Array, at: number, b: Float32Array, bt: number): number {
  return iouXywh(a[at]!, a[at + 1]!, a[at + 2]!, a[at + 3]!, b[bt]!, b[bt + 1]!, b[bt + 2]!, b[bt + 3]!);
}
