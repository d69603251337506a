import { iouXywh } from './iou.ts';

/** IoU of the boxes of two rows, which begin at `a` and `b`. */
export type RowOverlap = (rows: Float32Array, a: number, b: number) => number;

/**
 * Sorts packed detections by descending score and keeps at most `limit`. With `iouThreshold` set, drops every box whose IoU
 * with a kept box of the same class is above it (greedy, class-wise non-maximum suppression).
 *
 * @param rows - `[n, columns]` f32: x, y, width, height, score, classId, and what its task adds. Not changed.
 * @param iouThreshold - 0 to 1, or null for no suppression.
 * @param limit - maximum number of rows to return.
 * @returns a new packed array. Ties keep their input order.
 */
export function selectDetections(
  rows: Float32Array,
  iouThreshold: number | null,
  limit: number,
  columns = 6,
  overlap: RowOverlap = overlapUpright,
): Float32Array {
  const queue = new RankedRows(rows, columns);
  const kept: number[] = [];
  while (kept.length < limit) {
    const candidate = queue.next();
    if (candidate === null) break;
    const at = candidate * columns;
    if (iouThreshold === null || !isCovered(rows, at, kept, iouThreshold, overlap)) kept.push(at);
  }
  const selected = new Float32Array(kept.length * columns);
  kept.forEach((at, i) => {
    selected.set(rows.subarray(at, at + columns), i * columns);
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
  readonly #columns: number;
  readonly #heap: Uint32Array;
  #size: number;

  constructor(rows: Float32Array, columns: number) {
    this.#rows = rows;
    this.#columns = columns;
    this.#size = Math.floor(rows.length / columns);
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
    const difference = this.#rows[a * this.#columns + 4]! - this.#rows[b * this.#columns + 4]!;
    return difference > 0 || (difference === 0 && a < b);
  }
}

function isCovered(
  rows: Float32Array,
  candidate: number,
  kept: readonly number[],
  iouThreshold: number,
  overlap: RowOverlap,
): boolean {
  for (const at of kept)
    if (rows[at + 5] === rows[candidate + 5] && overlap(rows, candidate, at) > iouThreshold) return true;
  return false;
}

function overlapUpright(rows: Float32Array, a: number, b: number): number {
  return iouXywh(
    rows[a]!,
    rows[a + 1]!,
    rows[a + 2]!,
    rows[a + 3]!,
    rows[b]!,
    rows[b + 1]!,
    rows[b + 2]!,
    rows[b + 3]!,
  );
}
