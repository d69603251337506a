import type { Box } from '../../base/core/detection.ts';

/** Standard deviations as shares of the object's size, the mean of its width and height. */
interface Spreads {
  /** Of a measurement. */
  readonly measured: number;
  /** Of the velocity of a new object, per second. */
  readonly velocity: number;
  /** Of the change of velocity within a second. */
  readonly acceleration: number;
}

/**
 * A person who walks moves by his height in a second, a car by several times its own. Detectors measure edges less well than centres, and
 * sizes change slowly. The values are the flat part of what was measured (ADR 125).
 */
const CENTRE: Spreads = { measured: 0.14, velocity: 2.8, acceleration: 0.43 };
const SIDE: Spreads = { measured: 0.35, velocity: 0.28, acceleration: 0.14 };

/** A size of zero would make all deviations zero, and the filter would ignore measurements. */
const MIN_SIZE = 1e-3;

const WIDTH = 2;
const HEIGHT = 3;
const COORDINATES = 4;
/** Per coordinate: value, velocity, and the variances value-value, value-velocity, velocity-velocity. */
const STRIDE = 5;

/**
 * Kalman filter with constant velocity over centre x, centre y, width and height, disturbed by white noise of acceleration, whose effect
 * depends on the elapsed time alone: Bar-Shalom, Li and Kirubarajan, "Estimation with Applications to Tracking and Navigation" (2001),
 * 6.2.2. So it holds at any rate of frames.
 *
 * Each coordinate is coupled only with its own velocity, in the motion, the measurement and the noise. So the textbook's 8 x 8 matrices
 * separate exactly into four of 2 x 2, which are computed here.
 */
export class MotionFilter {
  readonly #state = new Float64Array(COORDINATES * STRIDE);

  constructor(box: Box) {
    const size = sizeOf(box[2], box[3]);
    for (let k = 0; k < COORDINATES; k++) {
      const { measured, velocity } = spreadsOf(k);
      const at = k * STRIDE;
      this.#state[at] = measure(box, k);
      this.#state[at + 2] = (measured * size) ** 2;
      this.#state[at + 4] = (velocity * size) ** 2;
    }
  }

  /** Predicts the state after `elapsedUs`. `holdsSize` freezes the size: a lost object would go on growing or shrinking. */
  predict(elapsedUs: number, holdsSize: boolean): void {
    const s = this.#state;
    const t = elapsedUs / 1e6;
    const size = this.#size;
    for (let k = 0; k < COORDINATES; k++) {
      const at = k * STRIDE;
      if (holdsSize && k >= WIDTH) s[at + 1] = 0;
      const noise = (spreadsOf(k).acceleration * size) ** 2;
      s[at] = s[at]! + s[at + 1]! * t;
      s[at + 2] = s[at + 2]! + 2 * t * s[at + 3]! + t * t * s[at + 4]! + (noise * t * t * t) / 3;
      s[at + 3] = s[at + 3]! + t * s[at + 4]! + (noise * t * t) / 2;
      s[at + 4] = s[at + 4]! + noise * t;
    }
    s[WIDTH * STRIDE] = Math.max(MIN_SIZE, s[WIDTH * STRIDE]!);
    s[HEIGHT * STRIDE] = Math.max(MIN_SIZE, s[HEIGHT * STRIDE]!);
  }

  /** Corrects the state with a detection. */
  correct(box: Box): void {
    const s = this.#state;
    const size = this.#size;
    for (let k = 0; k < COORDINATES; k++) {
      const at = k * STRIDE;
      const spread = spreadsOf(k).measured * size;
      const total = s[at + 2]! + spread * spread;
      const gain = s[at + 2]! / total;
      const velocityGain = s[at + 3]! / total;
      const innovation = measure(box, k) - s[at]!;
      s[at] = s[at]! + gain * innovation;
      s[at + 1] = s[at + 1]! + velocityGain * innovation;
      s[at + 4] = s[at + 4]! - velocityGain * s[at + 3]!;
      s[at + 3] = (1 - gain) * s[at + 3]!;
      s[at + 2] = (1 - gain) * s[at + 2]!;
    }
  }

  /** Moves the centre with the picture. */
  shift(x: number, y: number): void {
    this.#state[0] = this.#state[0]! + x;
    this.#state[STRIDE] = this.#state[STRIDE]! + y;
  }

  /** How uncertain the centre is: its standard deviation, x and y together, as a share of the object's size. */
  get spread(): number {
    return Math.sqrt(this.#state[2]! + this.#state[STRIDE + 2]!) / this.#size;
  }

  /** Writes x, y, width, height to `into` at `offset`. */
  writeBox(into: Float64Array, offset: number): void {
    const width = Math.max(MIN_SIZE, this.#state[WIDTH * STRIDE]!);
    const height = Math.max(MIN_SIZE, this.#state[HEIGHT * STRIDE]!);
    into[offset] = this.#state[0]! - width / 2;
    into[offset + 1] = this.#state[STRIDE]! - height / 2;
    into[offset + 2] = width;
    into[offset + 3] = height;
  }

  get #size(): number {
    return sizeOf(this.#state[WIDTH * STRIDE]!, this.#state[HEIGHT * STRIDE]!);
  }
}

function sizeOf(width: number, height: number): number {
  return Math.max(MIN_SIZE, (width + height) / 2);
}

function spreadsOf(k: number): Spreads {
  return k < WIDTH ? CENTRE : SIDE;
}

/** Coordinate k of a box. */
function measure(box: Box, k: number): number {
  return k < WIDTH ? box[k]! + box[k + 2]! / 2 : box[k]!;
}
