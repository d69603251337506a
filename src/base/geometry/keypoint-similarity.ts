import type { Box } from '../core/detection.ts';

/**
 * How far annotators of a point differ, as a ratio of the object's size, in COCO's order from the nose to the ankles. Source:
 * `kpt_oks_sigmas` of COCO's published evaluation.
 */
export const KEYPOINT_SIGMAS: readonly number[] = [
  ...[0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072],
  ...[0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089],
];

/**
 * COCO's object keypoint similarity, 0 to 1: the mean over the labelled points of exp(-d² / (8 sigma² area)), where d is the distance. If
 * no point is labelled, distances are those from the box enlarged by its size on each side. Source: `computeOks` of COCO's published
 * evaluation; skeletons of another number of points have one sigma, 1 over it.
 *
 * @param found - x, y and score of each point in turn.
 * @param object - x, y and visibility, which is above 0 for a labelled point.
 * @param areaPx - of the object; so is `box`.
 */
export function keypointSimilarity(
  found: readonly number[],
  object: readonly number[],
  areaPx: number,
  [left, top, width, height]: Box,
): number {
  const hasLabelled = labelledPoints(object) > 0;
  const beyond = (at: number, from: number, size: number): number =>
    Math.max(0, from - size - at) + Math.max(0, at - from - 2 * size);
  let [sum, count] = [0, 0];
  const points = found.length / 3;
  for (let i = 0; i < points; i++) {
    // Of other skeletons nobody has published how precisely people mark them.
    const sigma = points === KEYPOINT_SIGMAS.length ? KEYPOINT_SIGMAS[i]! : 1 / points;
    const at = 3 * i;
    if (hasLabelled && !(object[at + 2]! > 0)) continue;
    const dx = hasLabelled ? found[at]! - object[at]! : beyond(found[at]!, left, width);
    const dy = hasLabelled ? found[at + 1]! - object[at + 1]! : beyond(found[at + 1]!, top, height);
    sum += Math.exp(-(dx ** 2 + dy ** 2) / (2 * sigma) ** 2 / (areaPx + Number.EPSILON) / 2);
    count += 1;
  }
  return sum / count;
}

/** Counts the points whose third number is above 0. */
export function labelledPoints(keypoints: readonly number[]): number {
  return keypoints.filter((value, at) => at % 3 === 2 && value > 0).length;
}
