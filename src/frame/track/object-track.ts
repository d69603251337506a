import type { Box, Detection } from '../../base/core/detection.ts';
import { MotionFilter } from './motion-filter.ts';

/**
 * tentative: seen, but not often enough for an identity; tracked: found in the newest frame;
 * lost: not found in the newest frame, but for less than lostMs.
 */
export type TrackState = 'tentative' | 'tracked' | 'lost';

/** A second box that flickers is found less often than this. */
const HITS_FOR_A_MISS = 6;

/** One object over time. */
export class ObjectTrack {
  readonly classId: number;
  state: TrackState = 'tentative';
  /** 0 until it is confirmed. */
  id = 0;
  /** The newest detection. */
  seen: Detection;
  /** Times of the first and the newest detection, on the tracker's `MediaTimeline`. */
  readonly firstUs: number;
  lastUs: number;
  /** x, y, width, height predicted for the newest frame. */
  readonly predicted = new Float64Array(4);
  /** Detections in a row that count, and the sum of their scores. */
  #hits = 1;
  #misses = 0;
  #scores: number;
  #mayBeDouble: boolean;
  readonly #filter: MotionFilter;
  /** Centre of the filter's box when the object was seen last. */
  #seenX = 0;
  #seenY = 0;

  constructor(detection: Detection, nowUs: number, mayBeDouble: boolean) {
    this.classId = detection.classId;
    this.seen = detection;
    this.firstUs = nowUs;
    this.lastUs = nowUs;
    this.#filter = new MotionFilter(detection.box);
    this.#filter.writeBox(this.predicted, 0);
    this.#noteCentre();
    this.#scores = detection.score;
    this.#mayBeDouble = mayBeDouble;
  }

  get hits(): number {
    return this.#hits;
  }

  get meanScore(): number {
    return this.#scores / this.#hits;
  }

  /** Whether it has only been seen as a second box of an object that is tracked already. */
  get mayBeDouble(): boolean {
    return this.#mayBeDouble;
  }

  /**
   * Notes that it was not found while it had no identity. What may be a second box waits long for that, and a detector misses what is hidden
   * in part: it goes on if it is found nearly always. Others begin anew.
   */
  outlastsMiss(): boolean {
    this.#misses += 1;
    return this.#mayBeDouble && this.#hits >= HITS_FOR_A_MISS * this.#misses;
  }

  /** It is apart from the object that it might have been a second box of: what was seen of it before does not count. */
  standsAlone(): void {
    if (!this.#mayBeDouble) return;
    this.#mayBeDouble = false;
    this.#hits = 1;
    this.#scores = this.seen.score;
  }

  /** See `MotionFilter`. */
  get spread(): number {
    return this.#filter.spread;
  }

  /** The newest detection, moved by what the filter has predicted since. Its size is that of the detection. */
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

  /** The camera has moved: all that is known of where it was moves along. */
  shift(x: number, y: number): void {
    this.seen = shifted(this.seen, x, y);
    this.#filter.shift(x, y);
    this.#filter.writeBox(this.predicted, 0);
    this.#seenX += x;
    this.#seenY += y;
  }

  observe(detection: Detection, nowUs: number): void {
    this.seen = detection;
    this.#filter.correct(detection.box);
    this.#filter.writeBox(this.predicted, 0);
    this.#noteCentre();
    this.#hits += 1;
    this.#scores += detection.score;
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

/** Returns a detection in a picture that has moved. */
export function shifted(detection: Detection, x: number, y: number): Detection {
  const [left, top, width, height] = detection.box;
  return { ...detection, box: [left + x, top + y, width, height] };
}
