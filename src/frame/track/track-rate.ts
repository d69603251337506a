/**
 * In a third of a second, a person who walks (1.4 m/s, half a metre wide) and a car in a street (50 km/h, 4.5 m long) move by about
 * their own width. Measured on people: lines count 87 % at 3.3 frames/s, 62 % at 2.5, 31 % at 2, none at 1 (ADR 68).
 */
export const LEAST_TRACK_FPS = 3;
/** Enough: 98 % in the same measurement. */
export const GOOD_TRACK_FPS = 5;

/** Distances between frames that are remembered: the median of these is the rate. */
const INTERVALS = 9;

/** Returns why objects cannot be followed at a rate, and what to do; null if they can. */
export function trackRateProblem(fps: number): string | null {
  if (fps >= LEAST_TRACK_FPS) return null;
  return (
    `${Number(fps.toFixed(1))} frames/s are too few to follow objects: they move further than their own width between two frames, ` +
    `so tracks break and lines miss crossings. Take ${GOOD_TRACK_FPS} or more frames/s (maxFps, every); zones count at any rate`
  );
}

/** Measures the rate of one stream in media time. */
export class TrackRate {
  readonly #intervalsUs: number[] = [];
  #lastUs: number | null = null;

  /** Takes the next frame. A step back of media time is no distance. */
  onFrame(ptsUs: number): void {
    const intervalUs = this.#lastUs === null ? -1 : ptsUs - this.#lastUs;
    this.#lastUs = ptsUs;
    if (intervalUs < 0) return;
    this.#intervalsUs.push(intervalUs);
    if (this.#intervalsUs.length > INTERVALS) this.#intervalsUs.shift();
  }

  /** Frames per second; null until enough are known. */
  get fps(): number | null {
    if (this.#intervalsUs.length < INTERVALS) return null;
    const median = this.#intervalsUs.toSorted((a, b) => a - b)[(INTERVALS - 1) / 2]!;
    return 1e6 / median;
  }
}
