const COLUMNS = 6;

/** Packed rows `[n, 6]` f32 of one picture after the other: x, y, width, height, score, classId. Grows where it must. */
export class RowList {
  #rows: Float32Array;
  #end = 0;

  /** @param capacity - rows that one picture usually needs at most. */
  constructor(capacity: number) {
    this.#rows = new Float32Array(Math.max(capacity, 1) * COLUMNS);
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
    this.#end = at + COLUMNS;
  }

  /** Gives the rows that were added since the last call, and begins anew. */
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
