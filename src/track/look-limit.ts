/** Frames whose distances are remembered: with `maxFps` a long one follows several short ones. */
const FRAMES = 8;

/**
 * Measures how long what appears in a stream could be missing: from the first frame without inference to the next inferred one, in
 * media time. Frames are expected to come as far apart as the farthest of the newest eight.
 */
export class LookLimit {
  readonly #intervalsUs = new Float64Array(FRAMES);
  #next = 0;
  #lastUs: number | null = null;
  /** Media time of the first frame since the last look; null if there was none. */
  #missingFromUs: number | null = null;

  /** Longest media time between two of the newest frames. */
  get intervalUs(): number {
    return Math.max(...this.#intervalsUs);
  }

  /**
   * Takes the next frame.
   *
   * @returns microseconds for which something could be missing if this frame is not inferred; infinite if media time has
   * run backwards.
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
