import { resample } from '../evaluate/loss-bootstrap.ts';
import { normalCdf, studentQuantile } from './distributions.ts';

const CONFIDENCE = 0.95;
const RESAMPLES = 4_000;
/** With fewer, no resample reaches as far as a 95 % interval must. */
export const FEWEST_PAIRS = 5;

export interface RatioInterval {
  /** b over a, the geometric mean over the pairs. */
  readonly ratio: number;
  /** 95 % interval of the ratio. */
  readonly interval: readonly [number, number];
}

/**
 * Estimates how much larger `b` is than `a`, from pairs that were measured one right after the other, so that what
 * slows the machine for a while slows both.
 *
 * The pairs are resampled, and the percentiles are widened for their small number: "expanded percentile interval",
 * T. Hesterberg, What Teachers Should Know About the Bootstrap, 2015, section 5.3. Plain percentiles of six pairs hold
 * the true value in 87 % of cases instead of 95 %.
 *
 * @param a - positive; as many as in `b`, at least five.
 */
export async function ratioInterval(a: readonly number[], b: readonly number[], seed: number): Promise<RatioInterval> {
  const n = a.length;
  if (n !== b.length || n < FEWEST_PAIRS || [...a, ...b].some((value) => !(value > 0)))
    throw new RangeError(`expected at least ${FEWEST_PAIRS} pairs of positive values`);
  const logs = a.map((value, i) => Math.log(b[i]! / value));
  const means = new Float64Array(RESAMPLES);
  let done = 0;
  await resample(n, { seed, resamples: RESAMPLES }, (counts) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += logs[i]! * counts[i]!;
    means[done++] = sum / n;
  });
  means.sort();
  const widened = normalCdf(-Math.sqrt(n / (n - 1)) * studentQuantile((1 + CONFIDENCE) / 2, n - 1));
  const from = Math.floor(widened * RESAMPLES);
  const mean = logs.reduce((sum, value) => sum + value, 0) / n;
  return { ratio: Math.exp(mean), interval: [Math.exp(means[from]!), Math.exp(means[RESAMPLES - 1 - from]!)] };
}
