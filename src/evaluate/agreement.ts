import { type Box, DETECTION_COLUMNS as COLUMNS } from '../core/detection.ts';
import { iouXywh } from '../geometry/iou.ts';

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
      best = Math.max(best, iouXywh(...boxAt(wanted, at), ...boxAt(there, other)) * ratio);
    }
    sum += score * (1 - best);
  }
  return sum;
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

function boxAt(rows: Float32Array, at: number): Box {
  return [rows[at]!, rows[at + 1]!, rows[at + 2]!, rows[at + 3]!];
}
