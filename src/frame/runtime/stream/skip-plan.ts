import type { Detection } from '../../../base/core/detection.ts';
import { iouXywh } from '../../../base/geometry/iou.ts';
import { changeGateOf, detectEveryOf, type SkipConfig } from '../../../settings/config/skip.ts';
import { DetectPace } from '../../track/detect-pace.ts';
import { LookLimit } from '../../track/look-limit.ts';
import type { PredictionQuality } from '../../track/object-tracker.ts';
import type { InFlightFrame } from './in-flight-frame.ts';

/** Smallest share of the picture that a box with an uncertain score covers: half of what is promised to be found in time. */
const LEAST_SHARE = 0.005;
/**
 * Longest media time for which an object may be missing, unless frames are further apart. A tracker cannot predict an object that has just appeared, so
 * this bounds n of `trackBetween`, at a low frame rate too, and how long an uncertain result is repeated.
 */
const MOST_MISSING_US = 200_000;

/** This many changed frames after a rest are inferred: the first may be a look that was due and no change. */
const NEWS_FRAMES = 2;

/**
 * Inferred frames of a file whose results do not count yet when a frame is decided on, so that threads have something to do meanwhile. A
 * constant: were it whatever happens to be done, the records of a file would depend on the load of the machine.
 */
const FILE_RESULTS_BEHIND = 4;

/** Least and largest distance from the threshold at which a score is uncertain. */
const LEAST_SWING = 0.05;
const MOST_SWING = 0.2;
/** Inferred frames that it is learned from. */
const SWING_FRAMES = 24;
/** Two boxes of one class that overlap by so much are one thing that stands still. */
const SAME_IOU = 0.7;

/** A frame that was sent to inference. */
interface Look {
  readonly frame: InFlightFrame;
  /** Null until its result is published. */
  quality: PredictionQuality | null;
}

/** Chooses for each frame of one stream whether it is inferred, or how it gets a result without inference. */
export class SkipPlan {
  readonly #hasGate: boolean;
  readonly #pace: DetectPace | null;
  readonly #requestLook: () => void;
  readonly #limit = new LookLimit();
  /** The newest frame sent to inference, if the gate still compares with a picture equal to it. */
  #reference: InFlightFrame | null = null;
  /** The result of the reference is known. */
  #isKnown = false;
  /** No score in it is uncertain. */
  #isSure = false;
  readonly #swing = new ScoreSwing();
  /** The inferred frames of a file whose results do not count yet, the oldest first. Empty where n does not follow results. */
  readonly #looks: Look[] = [];
  readonly #isFile: boolean;
  /** Frames in a row that the gate called changed. A look at a resting scene may be one of them. */
  #changesInRow = 0;

  /**
   * @param isFile - decides by results alone, never by when they come.
   * @param requestLook - makes the change gate call the next picture changed.
   */
  constructor(config: SkipConfig, isFile: boolean, requestLook: () => void) {
    this.#hasGate = changeGateOf(config) !== null;
    const bounds = detectEveryOf(config);
    this.#pace = bounds === null ? null : new DetectPace(bounds);
    this.#isFile = isFile;
    this.#requestLook = requestLook;
  }

  /** Null if every frame is inferred, so that such a stream pays nothing. */
  static of(config: SkipConfig, isFile: boolean, requestLook: () => void): SkipPlan | null {
    const isIdle = changeGateOf(config) === null && detectEveryOf(config) === null;
    return isIdle ? null : new SkipPlan(config, isFile, requestLook);
  }

  get pace(): DetectPace | null {
    return this.#pace;
  }

  /** False while the decision on the next frame of a file needs a result that is not known yet: ask again when one is. */
  canDecide({ meta }: InFlightFrame): boolean {
    if (!this.#isFile) return true;
    if (this.#hasGate && meta.change !== 'changed' && this.#awaitsReference) return false;
    const looks = this.#looks;
    while (looks.length > FILE_RESULTS_BEHIND) {
      const { frame, quality } = looks[0]!;
      if (quality === null && frame.status !== 'dropped') return false;
      looks.shift();
      if (quality !== null) this.#pace!.onInferred(quality);
    }
    return true;
  }

  get #awaitsReference(): boolean {
    return this.#reference !== null && !this.#isKnown && this.#reference.status !== 'dropped';
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
    const isUncertain = isEqual && !this.#isSure;
    // Without an input only the next frame can be inferred, so it is asked for one frame earlier.
    if (isUncertain && change === 'without-input' && missingUs + this.#limit.intervalUs > MOST_MISSING_US)
      this.#requestLook();
    if (isEqual && !(isUncertain && isLate && change === 'unchanged')) {
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
      this.#isKnown = false;
      this.#isSure = false;
      if (this.#isFile && this.#pace?.isAdaptive === true) this.#looks.push({ frame, quality: null });
      return true;
    }
    // The gate compares with a frame that has no result of its own, so equal frames have nothing to repeat.
    this.#reference = null;
    // The gate of a file is ahead by as much as the decoder happens to be. The next frame that is due is inferred without it, too.
    if (this.#hasGate && !this.#isFile) this.#requestLook();
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
   * @param detections - down to `uncertainFrom` of the threshold.
   * @param threshold - of the boxes that users see.
   */
  onInferred(
    frame: InFlightFrame,
    detections: readonly Detection[],
    threshold: number,
    quality: PredictionQuality | null,
  ): void {
    const look = this.#looks.find((one) => one.frame === frame);
    if (look !== undefined) look.quality = quality;
    else if (quality !== null && !this.#isFile) this.#pace?.onInferred(quality);
    if (!this.#hasGate) return;
    const least = LEAST_SHARE * frame.meta.width * frame.meta.height;
    const near = detections.filter(
      ({ box, score }) => box[2] * box[3] >= least && Math.abs(score - threshold) <= MOST_SWING,
    );
    this.#swing.add(near);
    if (frame !== this.#reference) return;
    this.#isKnown = true;
    this.#isSure = !near.some(({ score }) => Math.abs(score - threshold) <= this.#swing.value);
  }
}

/** Returns the lowest score that can be uncertain, by the threshold of the boxes that users see. Not zero: that would be every box of a detector. */
export function uncertainFrom(threshold: number): number {
  return Math.max(threshold / 3, threshold - MOST_SWING);
}

/**
 * Measures by how much the score of one and the same box changes between the newest inferred frames of a stream, without anything to see: 0.03
 * by day, 0.2 in dark noise. Within seconds scores drift further than from frame to frame, so all of these frames are compared.
 */
class ScoreSwing {
  readonly #changes: number[] = [];
  readonly #before: (readonly Detection[])[] = [];

  /** Largest change to be expected. */
  get value(): number {
    return Math.min(MOST_SWING, Math.max(LEAST_SWING, ...this.#changes));
  }

  /** @param detections - the boxes of the next inferred frame with scores near the threshold. Kept, not changed. */
  add(detections: readonly Detection[]): void {
    let largest = 0;
    for (const { classId, score, box } of detections)
      for (const before of this.#before.flat()) {
        if (before.classId !== classId || iouXywh(...before.box, ...box) < SAME_IOU) continue;
        largest = Math.max(largest, Math.abs(score - before.score));
      }
    this.#before.push(detections);
    this.#changes.push(largest);
    if (this.#changes.length <= SWING_FRAMES) return;
    this.#before.shift();
    this.#changes.shift();
  }
}
