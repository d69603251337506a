const BOX_COLUMNS = 6;

/**
 * Collects packed rows `[n, columns]` f32 of one picture at a time: x, y, width, height, score, classId, and what the task adds.
 * Grows if necessary.
 */
export class RowList {
  readonly #columns: number;
  #rows: Float32Array;
  #end = 0;

  /** @param capacity - usual maximum number of rows per picture. */
  constructor(capacity: number, columns = BOX_COLUMNS) {
    this.#columns = columns;
    this.#rows = new Float32Array(Math.max(capacity, 1) * columns);
  }

  add(x: number, y: number, width: number, height: number, score: number, classId: number): void {
    const at = this.#end;
    if (at === this.#rows.length) this.#grow();
    const rows = this.#rows;
    rows[at] = x;
    rows[at + 1] = y;
    rows[at + 2] = width;
    rows[at + 3] = height;
    rows[at + 4] = score;
    rows[at + 5] = classId;
    this.#end = at + this.#columns;
  }

  /** Copies what its task adds to the newest row: numbers that begin at `from`, `step` apart. */
  extend(values: Float32Array, from: number, step: number): void {
    const first = this.#end - this.#columns + BOX_COLUMNS;
    for (let at = first; at < this.#end; at += 1) this.#rows[at] = values[from + (at - first) * step]!;
  }

  /** Returns the rows added since the last call, and clears the list. */
  take(): Float32Array {
    const rows = this.#rows.slice(0, this.#end);
    this.#end = 0;
    return rows;
  }

  #grow(): void {
    const larger = new Float32Array(this.#rows.length * 2);
    larger.set(this.#rows);
    this.#rows = larger;
  }
}
