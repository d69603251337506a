import type { Box } from '../../base/core/detection.ts';
import { sharedArea } from '../../base/geometry/iou.ts';
import { keypointSimilarity } from '../../base/geometry/keypoint-similarity.ts';
import { boxOfRuns, maskIou, runsOfMask } from '../../base/geometry/rle.ts';
import { cornersOf, sharedConvexArea, signedArea } from '../../base/geometry/rotated-iou.ts';
import type { CocoAnnotation, CocoResult } from './coco-dataset.ts';
import type { IouType } from './coco-rules.ts';

/** Returns `[results, annotations]`: 0 to 1. With a crowd, the share of the detection that lies inside it. */
type Overlaps = (results: readonly CocoResult[], annotations: readonly CocoAnnotation[]) => Float64Array;

/** How much detections overlap objects. The entries have what the type needs, see `requireShapes`. */
export const OVERLAPS: Readonly<Record<IouType, Overlaps>> = {
  bbox: pairwise(
    ({ box }) => box,
    (found, object, { isCrowd }) => boxOverlap(found, object, isCrowd),
  ),
  segm: pairwise(
    ({ mask }) => {
      const runs = runsOfMask(mask!);
      return { runs, box: boxOfRuns(runs) };
    },
    // Most masks are far apart, and their boxes are compared faster.
    (found, object, { isCrowd }) =>
      boxOverlap(found.box, object.box, isCrowd) === 0 ? 0 : maskIou(found.runs, object.runs, isCrowd),
  ),
  keypoints: pairwise(
    ({ keypoints }) => keypoints!,
    (found, object, { areaPx, box }) => keypointSimilarity(found, object, areaPx, box),
  ),
  'oriented-boxes': pairwise(
    ({ corners, box, angle }) => corners ?? cornersOf(box, angle!),
    (found, object, { isCrowd }) => {
      const shared = sharedConvexArea(found, object);
      const area = Math.abs(signedArea(found));
      return shared === 0 ? 0 : shared / (isCrowd ? area : area + Math.abs(signedArea(object)) - shared);
    },
  ),
  classes: pairwise(
    () => null,
    () => 1,
  ),
};

/** @param prepare - called once for each entry. */
function pairwise<T>(
  prepare: (entry: CocoResult | CocoAnnotation) => T,
  overlap: (found: T, object: T, annotation: CocoAnnotation) => number,
): Overlaps {
  return (results, annotations) => {
    const objects = annotations.map(prepare);
    const overlaps = new Float64Array(results.length * annotations.length);
    let k = 0;
    for (const found of results.map(prepare))
      for (const [g, object] of objects.entries()) overlaps[k++] = overlap(found, object, annotations[g]!);
    return overlaps;
  };
}

function boxOverlap(a: Box, b: Box, isCrowd: boolean): number {
  const shared = sharedArea(...a, ...b);
  if (shared === 0) return 0;
  const areaPx = a[2] * a[3];
  return shared / (isCrowd ? areaPx : areaPx + b[2] * b[3] - shared);
}
