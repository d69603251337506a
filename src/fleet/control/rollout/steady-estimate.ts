/** So long an estimate is only observed: the first ones are of a few frames. */
const SETTLE_MS = 30_000;
/** Then the predicted end moves at most this much for each millisecond that passes, so that what is left changes by two minutes a minute at most. */
const MOST_SHIFT = 1;

/**
 * Keeps an estimate of the time that is left from jumping: noise of the evidence moves it by far more than it is worth.
 */
export class SteadyEstimate {
  #startMs: number | null = null;
  #atMs = 0;
  #endMs = 0;

  /** @param leftMs - the raw estimate; null: unknown. @returns the steady one; null while it is not known. */
  update(leftMs: number | null, nowMs: number): number | null {
    const passedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (this.#startMs === null) {
      if (leftMs === null) return null;
      this.#startMs = nowMs;
      this.#endMs = nowMs + leftMs;
    } else if (leftMs !== null) {
      const shiftMs = nowMs + leftMs - this.#endMs;
      const isSettled = nowMs - this.#startMs > SETTLE_MS;
      const mostMs = isSettled ? MOST_SHIFT * passedMs : Number.POSITIVE_INFINITY;
      this.#endMs += Math.max(-mostMs, Math.min(mostMs, shiftMs));
    }
    return nowMs - this.#startMs < SETTLE_MS ? null : Math.max(0, this.#endMs - nowMs);
  }
}
