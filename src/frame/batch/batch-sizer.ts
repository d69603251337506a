import { smallestGoodSize } from '../../base/core/batch-size.ts';

/** Full batches per size in the trial. */
const TRIAL_BATCHES = 16;

/**
 * Finds the batch size that pays on this device: on most CPUs 1, on a GPU a large one.
 *
 * It starts from the engine's warm-up times and runs a trial under load, whenever enough frames wait: full batches of
 * each size in turn, so that other load slows all sizes alike. The smallest size within 10 % of the best time per frame
 * wins. Without the trial, on 2 busy cores, the size in use looked 40 % slower than the others, whose figures came from
 * an idle warm-up, and the choice drifted up to 8 for no gain.
 */
export class BatchSizer {
  readonly maxBatch: number;
  readonly #sizes: readonly number[];
  readonly #warmMs: ReadonlyMap<number, number>;
  readonly #samples = new Map<number, number[]>();
  #isTrialRunning: boolean;
  #settled: number;

  /**
   * @param batchSizes - sizes that the engine was warmed up for, ascending.
   * @param warmMs - milliseconds of one call at each of them.
   */
  constructor(batchSizes: readonly number[], warmMs: readonly number[], maxBatch: number) {
    this.#sizes = batchSizes.filter((size) => size <= maxBatch);
    if (this.#sizes.length === 0)
      throw new RangeError(`no warmed batch size up to ${maxBatch} in [${batchSizes.join(', ')}]`);
    this.#warmMs = new Map(batchSizes.map((size, i) => [size, warmMs[i] ?? 1]));
    this.maxBatch = this.#sizes.at(-1)!;
    this.#isTrialRunning = this.#sizes.length > 1;
    this.#settled = this.#choose();
  }

  /** True once the trial is complete, or if there is only one size. */
  get isSettled(): boolean {
    return !this.#isTrialRunning;
  }

  get settledSize(): number {
    return this.#settled;
  }

  /** Returns the size at which the next batch closes. @param waiting - model inputs that wait now. */
  nextSize(waiting: number): number {
    if (!this.#isTrialRunning) return this.#settled;
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

  /** Milliseconds of a call with one input: waiting longer than that for more frames gains nothing. */
  get singleCallMs(): number {
    return this.#perInputMs(this.#sizes[0]!) * this.#sizes[0]!;
  }

  /** The smallest warmed size that holds `inputs`. */
  padTo(inputs: number): number {
    const size = this.#sizes.find((candidate) => candidate >= inputs);
    if (size === undefined) throw new RangeError(`a batch of ${inputs} is larger than any warmed size`);
    return size;
  }

  /**
   * Returns the size of the calls for a batch that was closed at `size`. A frame with several inputs may hold more than
   * that: it takes several calls, of the size that takes the least time for all of them.
   *
   * @param isFull - another frame waits whose inputs did not fit. During the trial the call is then padded to `size`,
   * or a size that no number of frames fills would never be measured.
   */
  callSize(inputs: number, size: number, isFull: boolean): number {
    if (this.#isTrialRunning && (inputs > size || isFull)) return size;
    if (inputs <= size) return this.padTo(inputs);
    if (inputs % size === 0) return size;
    const callsMs = (candidate: number): number =>
      Math.ceil(inputs / candidate) * candidate * this.#perInputMs(candidate);
    return this.#sizes
      .filter((candidate) => candidate <= size)
      .reduce((best, candidate) => (callsMs(candidate) <= callsMs(best) ? candidate : best));
  }

  /** @returns true once, when the trial has ended and the size is settled. */
  observe(paddedSize: number, callMs: number): boolean {
    if (!this.#isTrialRunning) return false;
    const samples = this.#samples.get(paddedSize) ?? [];
    this.#samples.set(paddedSize, samples);
    if (samples.length < TRIAL_BATCHES) samples.push(callMs);
    const isComplete = this.#sizes.every((size) => (this.#samples.get(size)?.length ?? 0) >= TRIAL_BATCHES);
    if (!isComplete) return false;
    this.#isTrialRunning = false;
    this.#settled = this.#choose();
    return true;
  }

  get reason(): string {
    const sizes = this.#sizes.map((size) => `${size}: ${this.#perInputMs(size).toFixed(2)} ms`);
    const origin = this.#isTrialRunning
      ? 'from warm-up; not yet measured under load'
      : this.#samples.size === 0
        ? 'from warm-up'
        : 'measured under load';
    return `${this.#settled} is the smallest size within 10 % of the best time per frame (${sizes.join(', ')}; ${origin})`;
  }

  #choose(): number {
    return smallestGoodSize(this.#sizes, (size) => this.#perInputMs(size));
  }

  /** Uses only trial figures or only warm-up figures: figures from different conditions must not be compared. */
  #perInputMs(size: number): number {
    const samples = this.#samples.get(size);
    return (this.#isTrialRunning || samples === undefined ? this.#warmMs.get(size)! : lowerQuartile(samples)) / size;
  }
}

/** Other load only ever adds time, so the lower quartile describes the device better than the median. */
function lowerQuartile(samples: readonly number[]): number {
  return [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 4)]!;
}
