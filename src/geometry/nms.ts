import { iouXywh } from './iou.ts';

/**
 * Sorts packed detections by falling score and cuts them to `limit`; with `iouThreshold` set, first removes every box
 * that a stronger one of the same class covers by more than that (greedy, class-wise non-maximum suppression).
 *
 * @param rows - `[n, 6]` f32: x, y, width, height, score, classId. Not changed.
 * @param iouThreshold - 0 to 1, or null for no suppression.
 * @param limit - most rows to return.
 * @returns a new packed array. Ties keep the order in which they came.
 */
export function selectDetections(rows: Float32Array, iouThreshold: number | null, limit: number): Float32Array {
  const count = Math.floor(rows.length / 6);
  const order = Array.from({ length: count }, (_, i) => i).sort((a, b) => rows[b * 6 + 4]! - rows[a * 6 + 4]! || a - b);
  const kept: number[] = [];
  for (const candidate of order) {
    if (kept.length === limit) break;
    if (iouThreshold === null || !isCovered(rows, candidate, kept, iouThreshold)) kept.push(candidate);
  }
  const selected = new Float32Array(kept.length * 6);
  kept.forEach((row, i) => {
    selected.set(rows.subarray(row * 6, row * 6 + 6), i * 6);
  });
  return selected;
}

function isCovered(rows: Float32Array, candidate: number, kept: readonly number[], iouThreshold: number): boolean {
  const c = candidate * 6;
  for (const row of kept) {
    const k = row * 6;
    if (rows[k + 5] !== rows[c + 5]) continue;
    const iou = iouXywh(
      rows[c]!,
      rows[c + 1]!,
      rows[c + 2]!,
      rows[c + 3]!,
      rows[k]!,
      rows[k + 1]!,
      rows[k + 2]!,
      rows[k + 3]!,
    );
    if (iou > iouThreshold) return true;
  }
  return false;
}
