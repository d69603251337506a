import { changeGateOf, detectEveryOf, type SkipConfig } from '../../config/skip.ts';
import type { PredictionQuality } from '../../track/byte-tracker.ts';
import { DetectPace } from '../../track/detect-pace.ts';
import type { InFlightFrame } from './frame-ledger.ts';

/** Chooses for each frame of one stream whether it is inferred, or how it gets a result without inference. */
export class SkipPlan {
  readonly #hasGate: boolean;
  readonly #pace: DetectPace | null;
  readonly #requestLook: () => void;
  /** The newest frame sent to inference, if the gate still compares with a picture equal to it. */
  #reference: InFlightFrame | null = null;

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
    if (change !== 'changed' && reference !== null && reference.status !== 'dropped') {
      frame.by = 'unchanged';
      frame.repeats = reference;
      return false;
    }
    const isDue = this.#pace === null || this.#pace.isDue(ptsUs);
    if (isDue && change !== 'without-input') {
      this.#reference = frame;
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

  /** Learns from the published result of an inferred frame. */
  onInferred(quality: PredictionQuality | null): void {
    if (quality !== null) this.#pace?.onInferred(quality);
  }
}
