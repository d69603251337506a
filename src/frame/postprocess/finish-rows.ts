import { DETECTION_COLUMNS } from '../../base/core/detection.ts';
import type { ModelSpec } from '../../base/core/model.ts';
import { selectDetections } from '../../base/geometry/nms.ts';
import { type Placement, rowsToSource } from '../../base/geometry/placement.ts';
import { finishKeypoints, finishMasks, finishOriented, type MaskInput } from './finish-task.ts';

/**
 * Turns a decoder's raw boxes into final ones: applies non-maximum suppression if the network needs it, keeps the best
 * `maxDetections`, maps them to source pixels and clips them to what the model was shown.
 *
 * @param rows - `[n, columns]` f32: x, y, width, height in model pixels, score, classId, and what the decoder adds for its task.
 * @param shown - in source pixels; the whole picture if it has no corner.
 * @param masks - what masks are made of; only for task `masks`.
 * @returns a new packed array in source pixels, by descending score; with the columns of `rowColumns`.
 */
export function finishRows(
  rows: Float32Array,
  spec: ModelSpec,
  placement: Placement,
  shown: Parameters<typeof rowsToSource>[2],
  masks?: MaskInput,
): Float32Array {
  if (masks !== undefined) return finishMasks(rows, spec, placement, shown, masks);
  if (spec.task === 'keypoints') return finishKeypoints(rows, spec, placement, shown);
  if (spec.task === 'oriented-boxes') return finishOriented(rows, spec, placement, shown);
  const selected = selectDetections(rows, spec.nmsIou, spec.maxDetections);
  if (spec.task === 'classes') {
    const { x = 0, y = 0, width, height } = shown;
    for (let at = 0; at < selected.length; at += DETECTION_COLUMNS) selected.set([x, y, width, height], at);
    return selected;
  }
  const kept = rowsToSource(selected, placement, shown);
  return selected.subarray(0, kept * DETECTION_COLUMNS);
}
