/** Number of distances between frames that are remembered: with `maxFps` a long one follows several short ones. */
const FRAMES = 8;

/**
 * Measures for how long a new object could be missing from the results, in media time: from the first frame that is not inferred to the
 * next one that is. The next frame is expected after the longest distance between two of the newest frames.
 */
export class LookLimit {
  readonly #intervalsUs = new Float64Array(FRAMES);
  #next = 0;
  #lastUs: number | null = null;
  /** Media time of the first frame since the last inferred one; null if there was none. */
  #missingFromUs: number | null = null;

  /** Longest media time between two of the newest frames. */
  get intervalUs(): number {
    return Math.max(...this.#intervalsUs);
  }

  /**
   * Takes the next frame.
   *
   * @returns microseconds for which a new object could be missing if this frame is not inferred; infinite if media time has
   * stepped back.
   */
  onFrame(ptsUs: number): number {
    const intervalUs = this.#lastUs === null ? 0 : ptsUs - this.#lastUs;
    this.#lastUs = ptsUs;
    if (intervalUs < 0) return Number.POSITIVE_INFINITY;
    this.#intervalsUs[this.#next] = intervalUs;
    this.#next = (this.#next + 1) % FRAMES;
    this.#missingFromUs ??= ptsUs;
    return ptsUs + this.intervalUs - this.#missingFromUs;
  }

  /** The newest frame is inferred. */
  onLook(): void {
    this.#missingFromUs = null;
  }
}
