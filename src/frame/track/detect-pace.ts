import type { PredictionQuality } from './object-tracker.ts';

/** A prediction is good if every object was found again at least this close to its predicted box. */
const GOOD_IOU = 0.65;
/** Below this it is poor. */
const POOR_IOU = 0.4;
/** More lost and new objects than this share of the tracks are a poor prediction, too. */
const MAX_SURPRISE_RATIO = 0.1;
/** Consecutive inferred frames with a good prediction before the stride grows by one. */
const STEADY_LOOKS = 3;

/**
 * Chooses the frames of one stream that are inferred: every n-th, where n follows how well the tracker predicts. Between two
 * bounds it grows by one after three good predictions and is halved after a poor one (as congestion control does), so it
 * reacts within one inferred frame when motion begins or somebody enters.
 *
 * The constants were chosen on five clips with yolox-nano: 24 to 74 % of the frames inferred at an F1 of 0.956 to 0.997 against
 * full inference; a fixed stride of 4 gives 0.92 to 0.995 (docs/benchmarks.md).
 */
export class DetectPace {
  readonly #bounds: { readonly min: number; readonly max: number };
  #stride: number;
  #steadyLooks = 0;
  /** Frames since the last one that was sent to inference, itself included; null if the next one must be inferred. */
  #since: number | null = null;
  #longestGap = 0;

  constructor(bounds: { readonly min: number; readonly max: number }) {
    this.#bounds = bounds;
    this.#stride = bounds.min;
  }

  /** False if n is a constant. */
  get isAdaptive(): boolean {
    return this.#bounds.min < this.#bounds.max;
  }

  /** One of this many frames is inferred now. */
  get stride(): number {
    return this.#stride;
  }

  /** Most frames in a row of which only the last was inferred: an object appears at most this many frames late. */
  get longestGap(): number {
    return this.#longestGap;
  }

  /**
   * Decides for the next frame.
   *
   * @param isUrgent - infers it in any case.
   * @returns true if it is to be inferred.
   */
  isDue(isUrgent = false): boolean {
    if (this.#since !== null && this.#since < this.#stride && !isUrgent) {
      this.#since += 1;
      return false;
    }
    this.#longestGap = Math.max(this.#longestGap, this.#since ?? 0);
    this.#since = 1;
    return true;
  }

  /** The frame that was to be inferred was dropped: the next one takes its place. */
  onDropped(): void {
    this.#since = null;
  }

  /** Learns from an inferred frame. */
  onInferred({ tracks, lost, fresh, leastIou }: PredictionQuality): void {
    const { min, max } = this.#bounds;
    if (lost + fresh > MAX_SURPRISE_RATIO * Math.max(1, tracks) || leastIou < POOR_IOU) {
      this.#stride = Math.max(min, Math.floor(this.#stride / 2));
      this.#steadyLooks = 0;
    } else if (lost + fresh > 0 || leastIou < GOOD_IOU) {
      this.#steadyLooks = 0;
    } else if (++this.#steadyLooks >= STEADY_LOOKS) {
      this.#stride = Math.min(max, this.#stride + 1);
      this.#steadyLooks = 0;
    }
  }
}
