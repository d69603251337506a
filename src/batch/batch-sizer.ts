/** A larger batch must be this much better per frame to be worth the latency that it costs. */
const WORTH_RATIO = 1.1;
/** Full batches of each size in the trial. */
const TRIAL_BATCHES = 16;

/**
 * Finds the batch size that pays on this device: on most CPUs 1, on a GPU a large one.
 *
 * It starts from the engine's warm-up times and makes a trial under load, whenever enough frames wait: full batches of each
 * size in turn, so that whatever else the machine does slows all of them alike. The smallest size within 10 % of
 * the best time per frame wins. Measured without the trial, on 2 busy cores: the size in use looked 40 % slower than
 * the others, whose figures were from an idle warm-up, and the choice wandered up to 8 for no gain.
 */
export class BatchSizer {
  readonly maxBatch: number;
  readonly #sizes: readonly number[];
  readonly #warmMs: ReadonlyMap<number, number>;
  readonly #samples = new Map<number, number[]>();
  #isTrying: boolean;
  #settled: number;

  /**
   * @param batchSizes - sizes the engine was warmed for, rising.
   * @param warmMs - milliseconds of one call at each of them.
   */
  constructor(batchSizes: readonly number[], warmMs: readonly number[], maxBatch: number) {
    this.#sizes = batchSizes.filter((size) => size <= maxBatch);
    if (this.#sizes.length === 0)
      throw new RangeError(`no warmed batch size up to ${maxBatch} in [${batchSizes.join(', ')}]`);
    this.#warmMs = new Map(batchSizes.map((size, i) => [size, warmMs[i] ?? 1]));
    this.maxBatch = this.#sizes.at(-1)!;
    this.#isTrying = this.#sizes.length > 1;
    this.#settled = this.#choose();
  }

  /** Has the trial been made, or is there nothing to try? */
  get isSettled(): boolean {
    return !this.#isTrying;
  }

  get settledSize(): number {
    return this.#settled;
  }

  /** The size to close the next batch at. @param waiting - frames that wait now. */
  nextSize(waiting: number): number {
    if (!this.#isTrying) return this.#settled;
    let next = this.#settled;
    let fewest = TRIAL_BATCHES;
    for (const size of this.#sizes) {
      const count = this.#samples.get(size)?.length ?? 0;
      if (size <= waiting && count < fewest) {
        next = size;
        fewest = count;
      }
    }
    return next;
  }

  /** Milliseconds of one call with one frame: waiting longer than that for company gains nothing. */
  get singleCallMs(): number {
    return this.#perFrameMs(this.#sizes[0]!) * this.#sizes[0]!;
  }

  /** The smallest warmed size that holds `frames`. */
  padTo(frames: number): number {
    const size = this.#sizes.find((candidate) => candidate >= frames);
    if (size === undefined) throw new RangeError(`a batch of ${frames} is larger than any warmed size`);
    return size;
  }

  /** @returns true once, when the trial has ended and the size is settled. */
  observe(paddedSize: number, callMs: number): boolean {
    if (!this.#isTrying) return false;
    const samples = this.#samples.get(paddedSize) ?? [];
    this.#samples.set(paddedSize, samples);
    if (samples.length < TRIAL_BATCHES) samples.push(callMs);
    const isComplete = this.#sizes.every((size) => (this.#samples.get(size)?.length ?? 0) >= TRIAL_BATCHES);
    if (!isComplete) return false;
    this.#isTrying = false;
    this.#settled = this.#choose();
    return true;
  }

  get reason(): string {
    const sizes = this.#sizes.map((size) => `${size}: ${this.#perFrameMs(size).toFixed(2)} ms`);
    const origin = this.#isTrying
      ? 'warm-up, trial to come'
      : this.#samples.size === 0
        ? 'warm-up'
        : 'measured under load';
    return `${this.#settled} is the smallest size within 10 % of the best time per frame (${sizes.join(', ')}; ${origin})`;
  }

  #choose(): number {
    const best = Math.min(...this.#sizes.map((size) => this.#perFrameMs(size)));
    return this.#sizes.find((size) => this.#perFrameMs(size) <= best * WORTH_RATIO)!;
  }

  /** All from the trial or all from the warm-up: figures taken under different conditions must not be compared. */
  #perFrameMs(size: number): number {
    const samples = this.#samples.get(size);
    return (this.#isTrying || samples === undefined ? this.#warmMs.get(size)! : lowerQuartile(samples)) / size;
  }
}

/** What else the machine does only ever adds time, so the lower quartile says more of the device than the median. */
function lowerQuartile(samples: readonly number[]): number {
  return [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 4)]!;
}
