/**
 * Turns the timestamps of a stream into a line of time that never runs backwards: small steps back (timestamps jitter)
 * count as no time, and a large one (a looped or reconnected source) is reported as a break.
 */
export class MediaTimeline {
  /** Steps back beyond this are a break. */
  readonly #breakUs: number;
  #newestPtsUs: number | null = null;
  nowUs = 0;

  constructor(breakMs: number) {
    this.#breakUs = breakMs * 1000;
  }

  /** Takes the next timestamp. `isBroken`: nothing seen before has to do with what comes now. */
  advance(ptsUs: number): { readonly elapsedUs: number; readonly isBroken: boolean } {
    const stepUs = this.#newestPtsUs === null ? 0 : ptsUs - this.#newestPtsUs;
    const isBroken = -stepUs > this.#breakUs;
    if (this.#newestPtsUs === null || stepUs > 0 || isBroken) this.#newestPtsUs = ptsUs;
    const elapsedUs = Math.max(0, stepUs);
    this.nowUs += elapsedUs;
    return { elapsedUs, isBroken };
  }
}
