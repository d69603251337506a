/**
 * Turns the timestamps of a stream into a time that never decreases. Small steps back (timestamp jitter) count as zero; a
 * large one (a looped or reconnected source) is reported as a break.
 */
export class MediaTimeline {
  /** A longer step back is a break, in milliseconds. */
  breakMs: number;
  #newestPtsUs: number | null = null;
  /** Sum of all steps forward, in microseconds. */
  nowUs = 0;

  constructor(breakMs: number) {
    this.breakMs = breakMs;
  }

  /** Processes the next timestamp. If `isBroken` is true, frames before and after it are unrelated. */
  advance(ptsUs: number): { readonly elapsedUs: number; readonly isBroken: boolean } {
    const stepUs = this.#newestPtsUs === null ? 0 : ptsUs - this.#newestPtsUs;
    const isBroken = -stepUs > this.breakMs * 1000;
    if (this.#newestPtsUs === null || stepUs > 0 || isBroken) this.#newestPtsUs = ptsUs;
    const elapsedUs = Math.max(0, stepUs);
    this.nowUs += elapsedUs;
    return { elapsedUs, isBroken };
  }
}
