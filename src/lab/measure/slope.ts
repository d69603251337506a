import { studentQuantile } from './distributions.ts';

/** Slope of a line through points, by least squares. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (axis: 0 | 1): number => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return covariance / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

/** How a figure changes over time. */
export interface SlopeEstimate {
  /** Change per second. */
  readonly perS: number;
  /** 95 % interval of it. */
  readonly interval: readonly [number, number];
  /** Mean of all values. */
  readonly mean: number;
  /** Seconds from the first to the last value. */
  readonly spanS: number;
}

const CONFIDENCE = 0.95;
/** Values are averaged into this many blocks of equal time. */
const BLOCKS = 20;
const FEWEST_BLOCKS = 6;

/**
 * Estimates the slope of a figure with its interval (Student's t with n - 2 degrees of freedom). Neighbouring values of a
 * process resemble each other, which would make the interval too short; means of blocks do so much less.
 *
 * @param points - seconds and values, in order of time.
 * @returns null if there are too few values.
 */
export function estimateSlope(points: readonly (readonly [number, number])[]): SlopeEstimate | null {
  const blocks = blockMeans(points);
  if (blocks.length < FEWEST_BLOCKS) return null;
  const perS = slope(blocks);
  const mean = (axis: 0 | 1): number => blocks.reduce((sum, block) => sum + block[axis], 0) / blocks.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const spread = blocks.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const residuals = blocks.reduce((sum, [x, y]) => sum + (y - meanY - perS * (x - meanX)) ** 2, 0);
  const df = blocks.length - 2;
  const half = studentQuantile((1 + CONFIDENCE) / 2, df) * Math.sqrt(residuals / df / spread);
  return {
    perS,
    interval: [perS - half, perS + half],
    mean: points.reduce((sum, [, y]) => sum + y, 0) / points.length,
    spanS: points.at(-1)![0] - points[0]![0],
  };
}

function blockMeans(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const count = Math.min(BLOCKS, points.length);
  return Array.from({ length: count }, (_, i) => {
    const own = points.slice(Math.floor((i * points.length) / count), Math.floor(((i + 1) * points.length) / count));
    const mean = (axis: 0 | 1): number => own.reduce((sum, point) => sum + point[axis], 0) / own.length;
    return [mean(0), mean(1)] as const;
  });
}
