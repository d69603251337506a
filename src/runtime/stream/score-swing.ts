import type { Detection } from '../../core/detection.ts';
import { iouXywh } from '../../geometry/iou.ts';

/** Least and largest distance from the threshold at which a score is uncertain. */
const LEAST_SWING = 0.05;
export const MOST_SWING = 0.2;
/** Inferred frames that it is learned from. */
const FRAMES = 24;
/** Two boxes of one class that overlap by so much are one thing that stands still. */
const SAME_IOU = 0.7;

/**
 * Measures by how much the score of one and the same box changes between the newest inferred frames of a stream, without anything to see: 0.03
 * by day, 0.2 in dark noise. Within seconds scores drift further than from frame to frame, so all of these frames are compared.
 */
export class ScoreSwing {
  readonly #changes: number[] = [];
  readonly #before: (readonly Detection[])[] = [];

  /** Largest change to be expected. */
  get value(): number {
    return Math.min(MOST_SWING, Math.max(LEAST_SWING, ...this.#changes));
  }

  /** @param detections - the boxes of the next inferred frame with scores near the threshold. Kept, not changed. */
  add(detections: readonly Detection[]): void {
    let largest = 0;
    for (const { classId, score, box } of detections)
      for (const before of this.#before.flat()) {
        if (before.classId !== classId || iouXywh(...before.box, ...box) < SAME_IOU) continue;
        largest = Math.max(largest, Math.abs(score - before.score));
      }
    this.#before.push(detections);
    this.#changes.push(largest);
    if (this.#changes.length <= FRAMES) return;
    this.#before.shift();
    this.#changes.shift();
  }
}
