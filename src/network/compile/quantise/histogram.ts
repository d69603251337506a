/** Bins on each side of zero. At 8 bits one step of a range that covers the histogram spans 16 bins. */
const HALF_BINS = 2048;

/** Limit of values that are counted for each tensor and picture; more would not change the ranges. */
const MOST_VALUES = 100_000;

/**
 * Counts the values of a tensor over many pictures in one pass. The bins cover `-limit` to `limit`; if a value lies outside, the
 * limit doubles and neighbouring bins are merged.
 */
export class RangeHistogram {
  readonly counts = new Float64Array(2 * HALF_BINS);
  /** Smallest and largest value seen; 0 is always inside. */
  min = 0;
  max = 0;
  /** Values that were counted. */
  total = 0;
  #limit = 0;

  /** Width of one bin; 0 if every value was zero. */
  get binWidth(): number {
    return this.#limit / HALF_BINS;
  }

  /** The middle of a bin. */
  centre(bin: number): number {
    return (bin - HALF_BINS + 0.5) * this.binWidth;
  }

  /** Values that are not finite are left out. */
  add(values: Float32Array): void {
    const stride = oddStride(values.length);
    for (let at = 0; at < values.length; at += stride) {
      const value = values[at]!;
      if (!Number.isFinite(value)) continue;
      if (value < this.min) this.min = value;
      if (value > this.max) this.max = value;
    }
    this.#cover(Math.max(-this.min, this.max));
    const { counts } = this;
    const perUnit = this.#limit === 0 ? 0 : HALF_BINS / this.#limit;
    for (let at = 0; at < values.length; at += stride) {
      const value = values[at]!;
      if (!Number.isFinite(value)) continue;
      const bin = Math.min(Math.floor(value * perUnit) + HALF_BINS, 2 * HALF_BINS - 1);
      counts[bin] = counts[bin]! + 1;
      this.total += 1;
    }
  }

  #cover(largest: number): void {
    if (this.#limit === 0) this.#limit = largest;
    while (this.#limit < largest) {
      this.#limit *= 2;
      const merged = new Float64Array(2 * HALF_BINS);
      for (const [bin, count] of this.counts.entries()) {
        const into = Math.floor((bin - HALF_BINS) / 2) + HALF_BINS;
        merged[into] = merged[into]! + count;
      }
      this.counts.set(merged);
    }
  }
}

/** Returns an odd stride, so that the values are not all from the same column or channel: their numbers are mostly even. */
function oddStride(length: number): number {
  const stride = Math.ceil(length / MOST_VALUES);
  return stride % 2 === 0 ? stride + 1 : stride;
}
