import { setImmediate as nextTurn } from 'node:timers/promises';
import { seededRandom } from '../../base/core/seeded-random.ts';

export interface BootstrapOptions {
  /** The same seed gives the same resamples. */
  readonly seed: number;
  readonly resamples: number;
  /** One-sided confidence of each end of an interval, 0.5 to 1; default 0.975, which makes the interval one of 95 %. */
  readonly level?: number;
}

/** One-sided confidence of a single verdict. */
export const SINGLE_LEVEL = 0.975;

/** How much worse a candidate is than the reference on the same data, with the uncertainty of that figure. */
export interface LossEstimate {
  readonly reference: number;
  readonly candidate: number;
  /** Reference minus candidate; negative if the candidate is better. */
  readonly loss: number;
  /**
   * Interval of the loss: percentiles of the resamples, the 2.5th and the 97.5th unless another level was asked for. Wide enough to hold the
   * loss itself: resamples repeat pictures, which shifts figures of ranks such as AP.
   */
  readonly interval: readonly [low: number, high: number];
  readonly standardError: number;
}

/** Longest time for which resampling blocks the thread. */
const TURN_MS = 10;

/**
 * Draws resamples: each has as many units as there are, drawn with replacement (Efron, "Bootstrap methods: another look at the
 * jackknife", 1979). A unit is a piece of data that is independent of the others: a picture, or a second of video.
 *
 * Lets other work of the thread run every 10 ms.
 *
 * @param onResample - receives how often each unit was drawn, `[units]`; valid during the call only.
 */
export async function resample(
  units: number,
  { seed, resamples }: BootstrapOptions,
  onResample: (counts: Int32Array) => void,
): Promise<void> {
  const random = seededRandom(seed);
  const counts = new Int32Array(units);
  let turnEndsMs = performance.now() + TURN_MS;
  for (let i = 0; i < resamples; i++) {
    counts.fill(0);
    for (let draw = 0; draw < units; draw++) {
      const unit = Math.floor(random() * units);
      counts[unit] = counts[unit]! + 1;
    }
    onResample(counts);
    if (performance.now() < turnEndsMs) continue;
    await nextTurn();
    turnEndsMs = performance.now() + TURN_MS;
  }
}

/** Figures of both sides on the same data, in the same order. NaN: there is no such figure. */
export interface PairedFigures {
  readonly reference: ArrayLike<number>;
  readonly candidate: ArrayLike<number>;
}

/**
 * Estimates losses with a paired bootstrap: both sides are scored on the same resamples, so the difficulty of a unit affects both
 * alike. A resample without a figure is left out of the estimate of that figure.
 *
 * @param figuresOf - returns the figures of the data in which each unit occurs so often, `[units]`. It may overwrite its arrays.
 * @returns an estimate for each figure.
 */
export async function estimateLosses(
  units: number,
  options: BootstrapOptions,
  figuresOf: (counts: Int32Array) => PairedFigures,
): Promise<LossEstimate[]> {
  const { level = SINGLE_LEVEL } = options;
  const losses: number[][] = [];
  await resample(units, options, (counts) => {
    const { reference, candidate } = figuresOf(counts);
    for (let i = 0; i < reference.length; i++) {
      const loss = reference[i]! - candidate[i]!;
      losses[i] ??= [];
      if (!Number.isNaN(loss)) losses[i]!.push(loss);
    }
  });
  const { reference, candidate } = figuresOf(eachOnce(units));
  return Array.from(reference, (figure, i) => {
    const sorted = Float64Array.from(losses[i] ?? []).sort();
    const loss = figure - candidate[i]!;
    return {
      reference: figure,
      candidate: candidate[i]!,
      loss,
      interval: [Math.min(quantile(sorted, 1 - level), loss), Math.max(quantile(sorted, level), loss)],
      standardError: deviation(sorted),
    };
  });
}

/** How often each unit occurs in the data themselves: once. */
export function eachOnce(units: number): Int32Array {
  return new Int32Array(units).fill(1);
}

/**
 * Returns a function that sums up what is counted of units, `[column]`, by how often each unit occurs. It overwrites its result.
 *
 * @param units - `[unit][column]`; a unit may end early, the rest counts as 0.
 */
export function summing(
  units: readonly (readonly number[])[],
  columns: number,
): (occurrences: Int32Array) => Float64Array {
  const sums = new Float64Array(columns);
  return (occurrences) => {
    sums.fill(0);
    for (const [u, unit] of units.entries()) {
      const count = occurrences[u]!;
      if (count === 0) continue;
      for (let i = 0; i < unit.length; i++) sums[i] = sums[i]! + unit[i]! * count;
    }
    return sums;
  };
}

/** Interpolates between the two nearest values; NaN if there is none. */
export function quantile(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)]!;
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at));
}

function deviation(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return values.length < 2 ? Number.NaN : Math.sqrt(squares / (values.length - 1));
}
