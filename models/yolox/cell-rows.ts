import type { ModelSpec } from '../../src/base/core/model.ts';
import { RowList } from '../row-list.ts';

const STRIDES_PX = [8, 16, 32] as const;

/** Collects the boxes of one picture at a time as packed rows. Cells are numbered consecutively across all grids. */
export class CellRows {
  readonly #inputWidth: number;
  readonly #rows: RowList;
  /** Number of the first cell of each grid, then the number of all cells. */
  readonly #starts: readonly number[];

  /**
   * @param capacity - usual maximum number of boxes per picture.
   * @throws RangeError if the number of cells does not match the input size.
   */
  constructor({ name, input: { width, height } }: ModelSpec, cells: number, capacity: number) {
    const starts = [0];
    for (const stride of STRIDES_PX) starts.push(starts.at(-1)! + (width / stride) * (height / stride));
    const expected = starts.at(-1)!;
    if (cells !== expected) {
      throw new RangeError(`${name}: expected ${expected} cells for an input of ${width}x${height}, received ${cells}`);
    }
    this.#inputWidth = width;
    this.#starts = starts;
    this.#rows = new RowList(capacity);
  }

  /** Adds the box of a cell: `dx` and `dy` in cells from the cell's corner, sizes as logarithms of strides. */
  add(cell: number, dx: number, dy: number, logWidth: number, logHeight: number, score: number, classId: number): void {
    let grid = 0;
    while (cell >= this.#starts[grid + 1]!) grid += 1;
    const stride = STRIDES_PX[grid]!;
    const columns = this.#inputWidth / stride;
    const index = cell - this.#starts[grid]!;
    const width = Math.exp(logWidth) * stride;
    const height = Math.exp(logHeight) * stride;
    const x = ((index % columns) + dx) * stride - width / 2;
    const y = (Math.floor(index / columns) + dy) * stride - height / 2;
    this.#rows.add(x, y, width, height, score, classId);
  }

  /** Returns the rows `[n, 6]` added since the last call, and clears the list. */
  take(): Float32Array {
    return this.#rows.take();
  }
}
