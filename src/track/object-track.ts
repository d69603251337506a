import type { Detection } from '../core/detection.ts';
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

  constructor(detection: Detection, nowUs: number) {
    this.classId = detection.classId;
    this.seen = detection;
    this.lastUs = nowUs;
    this.#filter = new MotionFilter(detection.box);
    this.#filter.writeBox(this.predicted, 0);
  }

  predict(elapsedUs: number): void {
    this.#filter.predict(elapsedUs, this.state === 'lost');
    this.#filter.writeBox(this.predicted, 0);
  }

  observe(detection: Detection, nowUs: number): void {
    this.seen = detection;
    this.#filter.correct(detection.box);
    this.#filter.writeBox(this.predicted, 0);
    this.hits += 1;
    this.lastUs = nowUs;
    if (this.state === 'lost') this.state = 'tracked';
  }

  confirm(id: number): void {
    this.id = id;
    this.state = 'tracked';
  }
}
