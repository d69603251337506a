/** A larger batch must be this much better per frame to be worth the latency it costs. */
const WORTH_RATIO = 1.05;
const SMOOTHING = 0.1;

/**
 * Finds the batch size that pays on this device. Starts from the engine's warm-up times, follows the measured ones, and
 * settles on the smallest size that comes within 5 % of the best throughput: on most CPUs that is 1, on a GPU a large one.
 */
export class BatchSizer {
  readonly #callMs = new Map<number, number>();
  readonly #maxBatch: number;
  #settled: number;

  /**
   * @param batchSizes - sizes the engine was warmed for, rising.
   * @param warmMs - milliseconds of one call at each of them.
   */
  constructor(batchSizes: readonly number[], warmMs: readonly number[], maxBatch: number) {
    this.#maxBatch = maxBatch;
    batchSizes.forEach((size, i) => {
      if (size <= maxBatch) this.#callMs.set(size, warmMs[i] ?? 1);
    });
    if (this.#callMs.size === 0)
      throw new RangeError(`no warmed batch size up to ${maxBatch} in [${batchSizes.join(', ')}]`);
    this.#settled = this.#choose();
  }

  get settledSize(): number {
    return this.#settled;
  }

  get maxBatch(): number {
    return this.#maxBatch;
  }

  /** The smallest warmed size that holds `frames`. */
  padTo(frames: number): number {
    for (const size of this.#callMs.keys()) if (size >= frames) return size;
    throw new RangeError(`a batch of ${frames} is larger than any warmed size`);
  }

  /** @returns true where this measurement changed the settled size. */
  observe(paddedSize: number, callMs: number): boolean {
    const before = this.#callMs.get(paddedSize);
    if (before === undefined) return false;
    this.#callMs.set(paddedSize, before + SMOOTHING * (callMs - before));
    // One noisy call must not flip the size: the new choice has to beat the old one clearly.
    const chosen = this.#choose();
    if (chosen === this.#settled) return false;
    if (this.#perFrameMs(this.#settled) < this.#perFrameMs(chosen) * WORTH_RATIO) return false;
    this.#settled = chosen;
    return true;
  }

  get reason(): string {
    const sizes = [...this.#callMs.keys()].map((size) => `${size}: ${this.#perFrameMs(size).toFixed(2)} ms`);
    return `${this.#settled} is the smallest size within 5 % of the best time per frame (${sizes.join(', ')})`;
  }

  #choose(): number {
    const sizes = [...this.#callMs.keys()];
    const best = Math.min(...sizes.map((size) => this.#perFrameMs(size)));
    return sizes.find((size) => this.#perFrameMs(size) <= best * WORTH_RATIO)!;
  }

  #perFrameMs(size: number): number {
    return this.#callMs.get(size)! / size;
  }
}
