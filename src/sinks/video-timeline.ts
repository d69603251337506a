/** The usual interval where none is known yet: 25 pictures a second. */
const FIRST_STEP_US = 40_000;
/** Pictures nearer to each other than this would fall on one tick of the coarsest encoder clock. */
const LEAST_STEP_US = 100;
/** A pause of the source is no interval to go on with. */
const MOST_STEP_US = 1_000_000;

/**
 * Turns media times into the times of a video: they begin at zero and always rise. Where a source's time stands still or
 * falls back (still pictures, a file opened anew), the video goes on after the last interval that was seen.
 */
export class VideoTimeline {
  #originUs: number | null = null;
  #lastUs = 0;
  #stepUs = FIRST_STEP_US;

  next(ptsUs: number): number {
    if (this.#originUs === null) {
      this.#originUs = ptsUs;
      return 0;
    }
    let timeUs = ptsUs - this.#originUs;
    if (timeUs < this.#lastUs + LEAST_STEP_US) {
      timeUs = this.#lastUs + this.#stepUs;
      this.#originUs = ptsUs - timeUs;
    }
    this.#stepUs = Math.min(MOST_STEP_US, timeUs - this.#lastUs);
    this.#lastUs = timeUs;
    return timeUs;
  }
}
