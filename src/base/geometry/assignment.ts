/**
 * Assigns rows to columns with the smallest sum of costs: the Hungarian method with potentials and shortest augmenting
 * paths, O(n^2 m) for n <= m. Keeps its buffers between calls.
 */
export class AssignmentSolver {
  #rowPotential = new Float64Array(0);
  #columnPotential = new Float64Array(0);
  #slack = new Float64Array(0);
  #rowOfColumn = new Int32Array(0);
  #previousColumn = new Int32Array(0);
  #isReached = new Uint8Array(0);

  /**
   * @param costs - `[rows, columns]`, finite.
   * @returns the column of each row; -1 for a row without one, if there are more rows than columns.
   */
  solve(costs: Float64Array, rows: number, columns: number): Int32Array {
    const columnOfRow = new Int32Array(rows).fill(-1);
    if (rows === 0 || columns === 0) return columnOfRow;
    // The method needs at least as many columns as rows; otherwise the matrix is read transposed.
    const isTransposed = rows > columns;
    const n = isTransposed ? columns : rows;
    const m = isTransposed ? rows : columns;
    const rowStride = isTransposed ? 1 : columns;
    const columnStride = isTransposed ? columns : 1;
    this.#reserve(n + 1, m + 1);
    for (let row = 1; row <= n; row++) this.#augment(costs, row, m, rowStride, columnStride);
    for (let column = 1; column <= m; column++) {
      const row = this.#rowOfColumn[column]!;
      if (row === 0) continue;
      if (isTransposed) columnOfRow[column - 1] = row - 1;
      else columnOfRow[row - 1] = column - 1;
    }
    return columnOfRow;
  }

  /** Finds the cheapest augmenting path that gives `row` a column. Rows and columns count from 1; 0 is "none". */
  #augment(costs: Float64Array, row: number, m: number, rowStride: number, columnStride: number): void {
    const rowPotential = this.#rowPotential;
    const columnPotential = this.#columnPotential;
    const slack = this.#slack;
    const rowOfColumn = this.#rowOfColumn;
    const isReached = this.#isReached;
    slack.fill(Infinity, 0, m + 1);
    isReached.fill(0, 0, m + 1);
    rowOfColumn[0] = row;
    let column = 0;
    while (rowOfColumn[column] !== 0) {
      isReached[column] = 1;
      const current = rowOfColumn[column]!;
      let step = Infinity;
      let next = 0;
      for (let j = 1; j <= m; j++) {
        if (isReached[j] === 1) continue;
        const cost = costs[(current - 1) * rowStride + (j - 1) * columnStride]!;
        const reduced = cost - rowPotential[current]! - columnPotential[j]!;
        if (reduced < slack[j]!) {
          slack[j] = reduced;
          this.#previousColumn[j] = column;
        }
        if (slack[j]! < step) {
          step = slack[j]!;
          next = j;
        }
      }
      for (let j = 0; j <= m; j++) {
        if (isReached[j] === 1) {
          rowPotential[rowOfColumn[j]!]! += step;
          columnPotential[j]! -= step;
        } else {
          slack[j]! -= step;
        }
      }
      column = next;
    }
    while (column !== 0) {
      const previous = this.#previousColumn[column]!;
      rowOfColumn[column] = rowOfColumn[previous]!;
      column = previous;
    }
  }

  #reserve(rows: number, columns: number): void {
    if (this.#rowPotential.length < rows) this.#rowPotential = new Float64Array(rows * 2);
    if (this.#columnPotential.length < columns) {
      this.#columnPotential = new Float64Array(columns * 2);
      this.#slack = new Float64Array(columns * 2);
      this.#rowOfColumn = new Int32Array(columns * 2);
      this.#previousColumn = new Int32Array(columns * 2);
      this.#isReached = new Uint8Array(columns * 2);
    }
    this.#rowPotential.fill(0, 0, rows);
    this.#columnPotential.fill(0, 0, columns);
    this.#rowOfColumn.fill(0, 0, columns);
  }
}

/** Finds the pairs with the largest sum of worth. */
export class BestPairs {
  readonly #solver = new AssignmentSolver();
  #costs = new Float64Array(0);

  /** @returns the pairs of a worth above 0. */
  find(rows: number, columns: number, worth: (row: number, column: number) => number): [row: number, column: number][] {
    if (this.#costs.length < rows * columns) this.#costs = new Float64Array(rows * columns);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) this.#costs[row * columns + column] = -worth(row, column);
    const pairs: [number, number][] = [];
    for (const [row, column] of this.#solver.solve(this.#costs, rows, columns).entries())
      if (column !== -1 && this.#costs[row * columns + column]! < 0) pairs.push([row, column]);
    return pairs;
  }
}
