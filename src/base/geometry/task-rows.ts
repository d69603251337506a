import { DETECTION_COLUMNS, type Detection, unpackDetections } from '../core/detection.ts';
import type { ModelSpec } from '../core/model.ts';
import { maskOf } from './rle.ts';

/** What decides the columns of a packed row behind the six of every detection. */
export type RowKind = Pick<ModelSpec, 'task' | 'keypoints'>;

/** Columns of a final row with a mask before its runs: those of the box, width and height of the picture, number of runs. */
const MASK_COLUMNS = DETECTION_COLUMNS + 3;

/** Larger whole numbers have no exact f32: a longer run is written as several with runs of length 0 between them. */
export const LONGEST_RUN = 2 ** 24;

/**
 * Columns of each final row, without the runs of its mask.
 * - `keypoints`: x, y and score of each point, in source pixels
 * - `oriented-boxes`: clockwise degrees; the box is not clipped
 * - `masks`: width and height of the picture, the number of runs, then the runs; no runs if nobody reads masks
 */
export function rowColumns({ task, keypoints = 0 }: RowKind): number {
  if (task === 'keypoints') return DETECTION_COLUMNS + 3 * keypoints;
  if (task === 'oriented-boxes') return DETECTION_COLUMNS + 1;
  return task === 'masks' ? MASK_COLUMNS : DETECTION_COLUMNS;
}

/** Length of the final row that begins at `at`. */
export function rowLength(rows: Float32Array, at: number, kind: RowKind): number {
  return kind.task === 'masks' ? MASK_COLUMNS + rows[at + MASK_COLUMNS - 1]! : rowColumns(kind);
}

/** Turns final rows of any task into detections, as `unpackDetections` does those of boxes. */
export function unpackRows(rows: Float32Array, classes: readonly string[], kind: RowKind): Detection[] {
  const columns = rowColumns(kind);
  if (columns === DETECTION_COLUMNS) return unpackDetections(rows, classes);
  const detections: Detection[] = [];
  for (let at = 0; at + columns <= rows.length; at += rowLength(rows, at, kind)) {
    const [detection] = unpackDetections(rows.subarray(at, at + DETECTION_COLUMNS), classes);
    detections.push({ ...detection!, ...extrasAt(rows, at, kind) });
  }
  return detections;
}

function extrasAt(rows: Float32Array, at: number, kind: RowKind): Pick<Detection, 'mask' | 'keypoints' | 'angle'> {
  const first = at + DETECTION_COLUMNS;
  if (kind.task === 'oriented-boxes') return { angle: rows[first]! };
  const end = at + rowLength(rows, at, kind);
  if (kind.task === 'keypoints') return { keypoints: Array.from(rows.subarray(first, end)) };
  const counts = rows.subarray(at + MASK_COLUMNS, end);
  return counts.length === 0 ? {} : { mask: maskOf({ width: rows[first]!, height: rows[first + 1]!, counts }) };
}
