import type { Detection } from '../../base/core/detection.ts';
import { detectionOverlap } from '../../base/geometry/detection-overlap.ts';

/**
 * Measures how far detections are from those expected, without thresholds: 0 if they are the same, 1 if nothing is found again.
 * Each detection has its score as its weight. How well it is found again is the overlap with a detection of its class times the ratio
 * of the lower to the higher score, for the detection where that is largest.
 */
export function softLoss(expected: readonly Detection[], received: readonly Detection[]): number {
  const weight = totalScore(expected) + totalScore(received);
  if (weight === 0) return 0;
  return (missing(expected, received) + missing(received, expected)) / weight;
}

function totalScore(detections: readonly Detection[]): number {
  return detections.reduce((sum, { score }) => sum + score, 0);
}

function missing(wanted: readonly Detection[], there: readonly Detection[]): number {
  let sum = 0;
  for (const each of wanted) {
    // It has no weight, and the ratio of two scores of 0 is not a number.
    if (each.score === 0) continue;
    let best = 0;
    for (const other of there) {
      if (other.classId !== each.classId) continue;
      const ratio = Math.min(each.score, other.score) / Math.max(each.score, other.score);
      // The overlap is never above 1, so what cannot be the best is not compared.
      if (ratio > best) best = Math.max(best, detectionOverlap(each, other) * ratio);
    }
    sum += each.score * (1 - best);
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
