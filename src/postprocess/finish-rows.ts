import { DETECTION_COLUMNS } from '../core/detection.ts';
import type { ModelSpec } from '../core/model.ts';
import { selectDetections } from '../geometry/nms.ts';
import { type Placement, rowsToSource } from '../geometry/placement.ts';

/**
 * Turns a decoder's raw boxes into final ones: non-maximum suppression where the network needs it, the best
 * `maxDetections`, in source pixels, clipped to the picture.
 *
 * @param rows - `[n, 6]` f32: x, y, width, height in model pixels, score, classId.
 * @returns a new packed array in source pixels, by falling score.
 */
export function finishRows(
  rows: Float32Array,
  spec: ModelSpec,
  placement: Placement,
  source: { width: number; height: number },
): Float32Array {
  const selected = selectDetections(rows, spec.nmsIou, spec.maxDetections);
  const kept = rowsToSource(selected, placement, source);
  return selected.subarray(0, kept * DETECTION_COLUMNS);
}
