import type { Box } from '../../base/core/detection.ts';

/** Standard deviation of a position and of a velocity per nominal frame, as a share of the object's height. */
const POSITION_RATIO = 1 / 20;
const VELOCITY_RATIO = 1 / 160;
/** The aspect hardly changes, and a single measurement of it is unreliable. */
const ASPECT_SPREAD = 1e-2;
const ASPECT_VELOCITY_SPREAD = 1e-5;
const ASPECT_MEASUREMENT_SPREAD = 1e-1;

/** The constants above were tuned on video of this rate; time is counted in such frames, whatever the stream's rate. */
const NOMINAL_FRAME_US = 1e6 / 30;

/** A size of zero would make all deviations zero, and the filter would ignore measurements. */
const MIN_SIZE = 1e-3;

const ASPECT = 2;
const HEIGHT = 3;
const COORDINATES = 4;
/** Per coordinate: value, velocity, and the variances value-value, value-velocity, velocity-velocity. */
const STRIDE = 5;

/**
 * Kalman filter with constant velocity over centre x, centre y, aspect (width / height) and height.
 *
 * Each coordinate is coupled only with its own velocity, in the motion, the measurement and the noise. So the textbook's
 * 8 x 8 matrices separate exactly into four of 2 x 2, which are computed here. Model and constants:
 * Wojke et al., "Simple online and realtime tracking with a deep association metric" (2017), as ByteTrack uses them,
 * with process noise proportional to the elapsed time.
 */
export class MotionFilter {
  readonly #state = new Float64Array(COORDINATES * STRIDE);

  constructor(box: Box) {
    const measured = measure(box);
    for (let k = 0; k < COORDINATES; k++) {
      const position = positionSpread(k, measured[HEIGHT]!);
      const velocity = velocitySpread(k, measured[HEIGHT]!);
      const at = k * STRIDE;
      this.#state[at] = measured[k]!;
      this.#state[at + 2] = (k === ASPECT ? position : 2 * position) ** 2;
      this.#state[at + 4] = (k === ASPECT ? velocity : 10 * velocity) ** 2;
    }
  }

  /** Predicts the state after `elapsedUs`. `holdsSize` freezes the height: a lost object would go on growing or shrinking. */
  predict(elapsedUs: number, holdsSize: boolean): void {
    const s = this.#state;
    const step = elapsedUs / NOMINAL_FRAME_US;
    const height = s[HEIGHT * STRIDE]!;
    if (holdsSize) s[HEIGHT * STRIDE + 1] = 0;
    for (let k = 0; k < COORDINATES; k++) {
      const at = k * STRIDE;
      const position = positionSpread(k, height);
      const velocity = velocitySpread(k, height);
      s[at] = s[at]! + s[at + 1]! * step;
      s[at + 2] = s[at + 2]! + 2 * step * s[at + 3]! + step * step * s[at + 4]! + position * position * step;
      s[at + 3] = s[at + 3]! + step * s[at + 4]!;
      s[at + 4] = s[at + 4]! + velocity * velocity * step;
    }
    s[ASPECT * STRIDE] = Math.max(MIN_SIZE, s[ASPECT * STRIDE]!);
    s[HEIGHT * STRIDE] = Math.max(MIN_SIZE, s[HEIGHT * STRIDE]!);
  }

  /** Corrects the state with a detection. */
  correct(box: Box): void {
    const s = this.#state;
    const measured = measure(box);
    const height = s[HEIGHT * STRIDE]!;
    for (let k = 0; k < COORDINATES; k++) {
      const at = k * STRIDE;
      const spread = k === ASPECT ? ASPECT_MEASUREMENT_SPREAD : height * POSITION_RATIO;
      const total = s[at + 2]! + spread * spread;
      const gain = s[at + 2]! / total;
      const velocityGain = s[at + 3]! / total;
      const innovation = measured[k]! - s[at]!;
      s[at] = s[at]! + gain * innovation;
      s[at + 1] = s[at + 1]! + velocityGain * innovation;
      s[at + 4] = s[at + 4]! - velocityGain * s[at + 3]!;
      s[at + 3] = (1 - gain) * s[at + 3]!;
      s[at + 2] = (1 - gain) * s[at + 2]!;
    }
  }

  /** Writes x, y, width, height to `into` at `offset`. */
  writeBox(into: Float64Array, offset: number): void {
    const height = Math.max(MIN_SIZE, this.#state[HEIGHT * STRIDE]!);
    const width = Math.max(MIN_SIZE, this.#state[ASPECT * STRIDE]!) * height;
    into[offset] = this.#state[0]! - width / 2;
    into[offset + 1] = this.#state[STRIDE]! - height / 2;
    into[offset + 2] = width;
    into[offset + 3] = height;
  }
}

function positionSpread(k: number, heightPx: number): number {
  return k === ASPECT ? ASPECT_SPREAD : heightPx * POSITION_RATIO;
}

function velocitySpread(k: number, heightPx: number): number {
  return k === ASPECT ? ASPECT_VELOCITY_SPREAD : heightPx * VELOCITY_RATIO;
}

function measure(box: Box): readonly number[] {
  const height = Math.max(MIN_SIZE, box[3]);
  return [box[0] + box[2] / 2, box[1] + box[3] / 2, Math.max(MIN_SIZE, box[2]) / height, height];
}
