/** Interval until one has been seen: 25 pictures per second. */
const FIRST_STEP_US = 40_000;
/** Pictures closer together than this would share one tick of the coarsest encoder time base. */
const MIN_STEP_US = 100;
/** Upper bound of the interval to continue with: a longer one is a pause of the source. */
const MAX_STEP_US = 1_000_000;

/**
 * Turns media times into the times of a video, which begin at zero and always increase. If a source's time stops or goes
 * back (still pictures, a reopened file), the video continues with the last interval seen.
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
    if (timeUs < this.#lastUs + MIN_STEP_US) {
      timeUs = this.#lastUs + this.#stepUs;
      this.#originUs = ptsUs - timeUs;
    }
    this.#stepUs = Math.min(MAX_STEP_US, timeUs - this.#lastUs);
    this.#lastUs = timeUs;
    return timeUs;
  }
}
