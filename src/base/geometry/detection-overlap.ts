import type { Detection } from '../core/detection.ts';
import { iouXywh } from './iou.ts';
import { keypointSimilarity } from './keypoint-similarity.ts';
import { maskIou, runsOfMask } from './rle.ts';
import { cornersOf, sharedConvexArea } from './rotated-iou.ts';

/** An object covers about this share of its box. */
const COVERED = 0.5;
/** From this score on a point of the reference counts as seen. */
const SEEN_SCORE = 0.5;

/**
 * Says how much a detection is the same as one of the reference, 0 to 1, by what both have: IoU of masks or oriented boxes, similarity of
 * keypoints that the reference sees, else IoU of boxes.
 */
export function detectionOverlap(reference: Detection, other: Detection): number {
  const boxes = iouXywh(...reference.box, ...other.box);
  if (reference.mask !== undefined && other.mask !== undefined)
    // Masks lie in their boxes, which are compared faster.
    return boxes === 0 ? 0 : maskIou(runsOfMask(other.mask), runsOfMask(reference.mask));
  const [, , width, height] = reference.box;
  if (reference.keypoints !== undefined && other.keypoints !== undefined) {
    const seen = reference.keypoints.map((value, at) => (at % 3 === 2 && value < SEEN_SCORE ? 0 : value));
    return keypointSimilarity(other.keypoints, seen, width * height * COVERED, reference.box);
  }
  if (reference.angle === undefined || other.angle === undefined) return boxes;
  const shared = sharedConvexArea(cornersOf(reference.box, reference.angle), cornersOf(other.box, other.angle));
  return shared === 0 ? 0 : shared / (width * height + other.box[2] * other.box[3] - shared);
}
