import { setImmediate as nextTurn } from 'node:timers/promises';
import { seededRandom } from '../core/seeded-random.ts';

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
  /** Interval of the loss: percentiles of the resamples, the 2.5th and the 97.5th unless another level was asked for. */
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

/**
 * Draws resamples of units that are counted, and sums up their counts.
 *
 * @param units - `[unit][column]`; a unit may end early, the rest counts as 0.
 * @param onSums - receives `[column]` of each resample; valid during the call only.
 * @returns `[column]`: the sums of all units, each once.
 */
export async function resampleSums(
  units: readonly (readonly number[])[],
  columns: number,
  options: BootstrapOptions,
  onSums: (sums: Float64Array) => void,
): Promise<Float64Array> {
  const sums = new Float64Array(columns);
  const sumUp = (counts: Int32Array): Float64Array => {
    sums.fill(0);
    for (const [u, unit] of units.entries()) {
      const count = counts[u]!;
      if (count === 0) continue;
      for (let i = 0; i < unit.length; i++) sums[i] = sums[i]! + unit[i]! * count;
    }
    return sums;
  };
  await resample(units.length, options, (counts) => onSums(sumUp(counts)));
  return sumUp(new Int32Array(units.length).fill(1));
}

/** Collects a figure of both sides over the resamples. A resample without a figure (NaN) is left out. */
export class LossSamples {
  readonly #losses: number[] = [];

  add(reference: number, candidate: number): void {
    const loss = reference - candidate;
    if (!Number.isNaN(loss)) this.#losses.push(loss);
  }

  /** @param reference - the reference's figure on the data themselves, not on a resample; `candidate` likewise. */
  estimate(reference: number, candidate: number, level: number = SINGLE_LEVEL): LossEstimate {
    const sorted = Float64Array.from(this.#losses).sort();
    return {
      reference,
      candidate,
      loss: reference - candidate,
      interval: [quantile(sorted, 1 - level), quantile(sorted, level)],
      standardError: deviation(sorted),
    };
  }
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
