import { DETECTION_COLUMNS } from '../core/detection.ts';
import type { ModelSpec } from '../core/model.ts';
import { selectDetections } from '../geometry/nms.ts';
import { type Placement, rowsToSource } from '../geometry/placement.ts';

/**
 * Turns a decoder's raw boxes into final ones: applies non-maximum suppression if the network needs it, keeps the best
 * `maxDetections`, maps them to source pixels and clips them to what the model was shown.
 *
 * @param rows - `[n, 6]` f32: x, y, width, height in model pixels, score, classId.
 * @param shown - in source pixels; the whole picture if it has no corner.
 * @returns a new packed array in source pixels, by descending score.
 */
export function finishRows(
  rows: Float32Array,
  spec: ModelSpec,
  placement: Placement,
  shown: Parameters<typeof rowsToSource>[2],
): Float32Array {
  const selected = selectDetections(rows, spec.nmsIou, spec.maxDetections);
  const kept = rowsToSource(selected, placement, shown);
  return selected.subarray(0, kept * DETECTION_COLUMNS);
}
