import { changeGateOf, detectEveryOf, type SkipConfig } from '../../config/skip.ts';
import type { Detection } from '../../core/detection.ts';
import type { PredictionQuality } from '../../track/byte-tracker.ts';
import { DetectPace } from '../../track/detect-pace.ts';
import { LookLimit } from '../../track/look-limit.ts';
import type { InFlightFrame } from './in-flight-frame.ts';

/**
 * A score this close to the threshold is in doubt: noise that no eye can see moves it across. Scores of what
 * stands still mostly moved by less than 0.04 from frame to frame (docs/adr/0026-what-counts-as-a-change.md).
 */
export const DOUBT_SCORE = 0.05;
/** Smallest share of the picture that a box in doubt covers: half of what is promised to be found in time. */
const DOUBT_SHARE = 0.005;
/**
 * Longest media time for which an object may be missing, unless frames are further apart. A tracker cannot predict an object that has just appeared, so
 * this bounds n of `trackBetween`, at a low frame rate too, and how long a result in doubt is repeated.
 */
const MOST_MISSING_US = 200_000;

/** This many changed frames after a rest are inferred: the first may be a look that was due and no change. */
const NEWS_FRAMES = 2;

/** Chooses for each frame of one stream whether it is inferred, or how it gets a result without inference. */
export class SkipPlan {
  readonly #hasGate: boolean;
  readonly #pace: DetectPace | null;
  readonly #requestLook: () => void;
  readonly #limit = new LookLimit();
  /** The newest frame sent to inference, if the gate still compares with a picture equal to it. */
  #reference: InFlightFrame | null = null;
  /** The result of the reference is known, and none of its boxes is in doubt. */
  #isSure = false;
  /** Frames in a row that the gate called changed. A look at a resting scene may be one of them. */
  #changesInRow = 0;

  /** @param requestLook - makes the change gate call the next picture changed. */
  constructor(config: SkipConfig, requestLook: () => void) {
    this.#hasGate = changeGateOf(config) !== null;
    const bounds = detectEveryOf(config);
    this.#pace = bounds === null ? null : new DetectPace(bounds);
    this.#requestLook = requestLook;
  }

  /** Null if every frame is inferred, so that such a stream pays nothing. */
  static of(config: SkipConfig, requestLook: () => void): SkipPlan | null {
    const isIdle = changeGateOf(config) === null && detectEveryOf(config) === null;
    return isIdle ? null : new SkipPlan(config, requestLook);
  }

  get pace(): DetectPace | null {
    return this.#pace;
  }

  /**
   * Decides what happens to the next frame, in order of arrival, and notes it in the frame.
   *
   * @returns false if the frame gets its result without inference; true if it must be inferred.
   */
  mustInfer(frame: InFlightFrame): boolean {
    const { ptsUs } = frame.meta;
    // The lane may have a gate for another model of the stream.
    const change = this.#hasGate ? frame.meta.change : 'changed';
    const reference = this.#reference;
    const missingUs = this.#limit.onFrame(ptsUs);
    const isLate = missingUs > MOST_MISSING_US;
    const isEqual = change !== 'changed' && reference !== null && reference.status !== 'dropped';
    this.#changesInRow = isEqual ? 0 : this.#changesInRow + 1;
    const isInDoubt = isEqual && !this.#isSure;
    // Without an input only the next frame can be inferred, so it is asked for one frame earlier.
    if (isInDoubt && change === 'without-input' && missingUs + this.#limit.intervalUs > MOST_MISSING_US)
      this.#requestLook();
    if (isEqual && !(isInDoubt && isLate && change === 'unchanged')) {
      frame.by = 'unchanged';
      frame.repeats = reference;
      return false;
    }
    // The first change after a rest is news, and no tracker can predict it.
    const isUrgent = isLate || (this.#hasGate && this.#changesInRow <= NEWS_FRAMES);
    const isDue = this.#pace === null || this.#pace.isDue(isUrgent);
    if (isDue && change !== 'without-input') {
      this.#limit.onLook();
      this.#reference = frame;
      this.#isSure = false;
      return true;
    }
    // The gate compares with a frame that has no result of its own, so equal frames have nothing to repeat.
    this.#reference = null;
    if (this.#hasGate) this.#requestLook();
    if (this.#pace === null) {
      frame.by = 'unchanged';
      frame.repeats = frame;
    } else {
      // It was due and has no input: the next frame is due instead.
      if (isDue) this.#pace.onDropped();
      frame.by = 'tracked';
    }
    return false;
  }

  /** A frame that was to be inferred was dropped. */
  onDropped(): void {
    this.#pace?.onDropped();
    if (this.#hasGate) this.#requestLook();
  }

  /**
   * Learns from the published result of an inferred frame.
   *
   * @param detections - down to `DOUBT_SCORE` below `threshold`.
   * @param threshold - of the boxes that users see.
   */
  onInferred(
    frame: InFlightFrame,
    detections: readonly Detection[],
    threshold: number,
    quality: PredictionQuality | null,
  ): void {
    if (quality !== null) this.#pace?.onInferred(quality);
    if (frame !== this.#reference) return;
    const least = DOUBT_SHARE * frame.meta.width * frame.meta.height;
    this.#isSure = !detections.some(
      ({ score, box }) => Math.abs(score - threshold) <= DOUBT_SCORE && box[2] * box[3] >= least,
    );
  }
}
