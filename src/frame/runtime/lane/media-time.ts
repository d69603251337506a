import { monoNowMs } from '../../../base/core/clock.ts';
import type { MonoMs, PtsUs } from '../../../base/core/units.ts';
import type { LaneStream } from '../../../wire/protocol/threads.ts';

/** A larger step back is another clock of the camera. A decoder that does not know yet how frames are ordered steps back by some frames. */
const MOST_DISORDER_US = 2_000_000;

/**
 * Makes the media time of a stream from the times of its source.
 *
 * Those of a file are kept as its container states them. Those of a live source begin anew with each connection; the result goes
 * on where it was, plus the time that passed meanwhile. It never goes back, nor does that of a camera that is read as a file: the
 * first frames of a connection can come in another order than they are shown in, and a camera can set its clock.
 */
export class MediaTime {
  readonly #isMonotonic: boolean;
  #shiftUs: number | null;
  #lastUs: number;
  #lastDecodedMs: number;

  constructor({ lastUs, shiftUs }: LaneStream['mediaTime'], isMonotonic: boolean, nowMs: MonoMs = monoNowMs()) {
    this.#isMonotonic = isMonotonic;
    this.#lastUs = lastUs;
    this.#shiftUs = shiftUs;
    this.#lastDecodedMs = nowMs;
  }

  /** The next frame is the first one of another connection. */
  reconnect(): void {
    this.#shiftUs = null;
  }

  /** What is added to the times of the source; null before the first frame of a connection. */
  get shiftUs(): number | null {
    return this.#shiftUs;
  }

  /** Returns the media time of a picture that is no frame. */
  of(ptsUs: number): PtsUs {
    return (this.#shiftUs === null ? this.#lastUs : Math.max(0, ptsUs + this.#shiftUs)) as PtsUs;
  }

  /**
   * Returns the media time of the next frame.
   *
   * @param ptsUs - its time by the source, in microseconds.
   */
  next(ptsUs: number, decodedMs: MonoMs): PtsUs {
    const goesOnUs = this.#lastUs + Math.max(0, decodedMs - this.#lastDecodedMs) * 1000;
    this.#lastDecodedMs = decodedMs;
    this.#shiftUs ??= Math.round(goesOnUs - ptsUs);
    let timeUs = Math.max(0, ptsUs + this.#shiftUs);
    if (this.#isMonotonic && timeUs < this.#lastUs) {
      if (this.#lastUs - timeUs > MOST_DISORDER_US) {
        this.#shiftUs = Math.round(goesOnUs - ptsUs);
        timeUs = Math.round(goesOnUs);
      } else timeUs = this.#lastUs;
    }
    this.#lastUs = timeUs;
    return timeUs as PtsUs;
  }
}
