import { iouXywh } from './iou.ts';

/**
 * Sorts packed detections by descending score and keeps at most `limit`. With `iouThreshold` set, drops every box whose IoU
 * with a kept box of the same class is above it (greedy, class-wise non-maximum suppression).
 *
 * @param rows - `[n, 6]` f32: x, y, width, height, score, classId. Not changed.
 * @param iouThreshold - 0 to 1, or null for no suppression.
 * @param limit - maximum number of rows to return.
 * @returns a new packed array. Ties keep their input order.
 */
export function selectDetections(rows: Float32Array, iouThreshold: number | null, limit: number): Float32Array {
  const queue = new RankedRows(rows);
  const kept: number[] = [];
  while (kept.length < limit) {
    const candidate = queue.next();
    if (candidate === null) break;
    if (iouThreshold === null || !isCovered(rows, candidate, kept, iouThreshold)) kept.push(candidate);
  }
  const selected = new Float32Array(kept.length * 6);
  kept.forEach((row, i) => {
    selected.set(rows.subarray(row * 6, row * 6 + 6), i * 6);
  });
  return selected;
}

/**
 * Yields row numbers by descending score, ties in row order. Uses a heap because only a few are needed: with every class
 * above 0.001, the threshold for measuring average precision, a picture has some hundred thousand rows, and sorting them
 * all takes longer than the network.
 */
class RankedRows {
  readonly #rows: Float32Array;
  readonly #heap: Uint32Array;
  #size: number;

  constructor(rows: Float32Array) {
    this.#rows = rows;
    this.#size = Math.floor(rows.length / 6);
    this.#heap = new Uint32Array(this.#size);
    for (let row = 0; row < this.#size; row += 1) this.#heap[row] = row;
    for (let at = (this.#size >> 1) - 1; at >= 0; at -= 1) this.#siftDown(at);
  }

  next(): number | null {
    if (this.#size === 0) return null;
    const first = this.#heap[0]!;
    this.#size -= 1;
    this.#heap[0] = this.#heap[this.#size]!;
    this.#siftDown(0);
    return first;
  }

  /** Restores the heap order below `start`. */
  #siftDown(start: number): void {
    const heap = this.#heap;
    const row = heap[start]!;
    let at = start;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!this.#isBefore(heap[child]!, row)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = row;
  }

  #isBefore(a: number, b: number): boolean {
    const difference = this.#rows[a * 6 + 4]! - this.#rows[b * 6 + 4]!;
    return difference > 0 || (difference === 0 && a < b);
  }
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
