import type { Box, Detection } from '../../base/core/detection.ts';
import { MotionFilter } from './motion-filter.ts';

/**
 * tentative: seen, but not often enough for an identity; tracked: found in the newest frame;
 * lost: not found in the newest frame, but for less than lostMs.
 */
export type TrackState = 'tentative' | 'tracked' | 'lost';

/** One object over time. */
export class ObjectTrack {
  readonly classId: number;
  state: TrackState = 'tentative';
  /** 0 until it is confirmed. */
  id = 0;
  hits = 1;
  /** The newest detection. */
  seen: Detection;
  /** Time of the newest detection, on the tracker's `MediaTimeline`. */
  lastUs: number;
  /** x, y, width, height predicted for the newest frame. */
  readonly predicted = new Float64Array(4);
  readonly #filter: MotionFilter;
  /** Centre of the filter's box when the object was seen last. */
  #seenX = 0;
  #seenY = 0;

  constructor(detection: Detection, nowUs: number) {
    this.classId = detection.classId;
    this.seen = detection;
    this.lastUs = nowUs;
    this.#filter = new MotionFilter(detection.box);
    this.#filter.writeBox(this.predicted, 0);
    this.#noteCentre();
  }

  /**
   * The newest detection, moved by what the filter has predicted since. Its size is that of the detection: the filter follows the
   * aspect of a walking person too slowly.
   */
  get movedBox(): Box {
    const [x, y, width, height] = this.seen.box;
    const dx = this.predicted[0]! + this.predicted[2]! / 2 - this.#seenX;
    const dy = this.predicted[1]! + this.predicted[3]! / 2 - this.#seenY;
    return [x + dx, y + dy, width, height];
  }

  predict(elapsedUs: number): void {
    this.#filter.predict(elapsedUs, this.state === 'lost');
    this.#filter.writeBox(this.predicted, 0);
  }

  observe(detection: Detection, nowUs: number): void {
    this.seen = detection;
    this.#filter.correct(detection.box);
    this.#filter.writeBox(this.predicted, 0);
    this.#noteCentre();
    this.hits += 1;
    this.lastUs = nowUs;
    if (this.state === 'lost') this.state = 'tracked';
  }

  #noteCentre(): void {
    this.#seenX = this.predicted[0]! + this.predicted[2]! / 2;
    this.#seenY = this.predicted[1]! + this.predicted[3]! / 2;
  }

  confirm(id: number): void {
    this.id = id;
    this.state = 'tracked';
  }
}
