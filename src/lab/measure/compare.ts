import { resample } from '../../network/evaluate/loss-bootstrap.ts';
import { normalCdf, studentQuantile } from './distributions.ts';
import { type Scenario, scenarioName } from './scenario.ts';
import { OpenTrial, type TrialOptions, type TrialSetup } from './trial.ts';
import type { TrialResult } from './trial-result.ts';

/** A difference within this share counts as none. */
const MARGIN = 0.02;

export type ComparisonVerdict = 'better' | 'worse' | 'inconclusive';

/** What is compared, and whether more is better. */
const METRICS = {
  fps: { isMoreBetter: true, of: (result: TrialResult) => result.fps },
  // Of the slowest stream: among many streams it does not show in the percentiles of all.
  p99: {
    isMoreBetter: false,
    of: ({ perStream }: TrialResult) => Math.max(...perStream.map(({ latencyMs }) => latencyMs.p99)),
  },
  cpu: { isMoreBetter: false, of: (result: TrialResult) => result.cpuMsPerFrame?.total ?? Number.NaN },
} as const;

type ComparisonMetric = keyof typeof METRICS;

export interface Comparison {
  readonly metric: ComparisonMetric;
  readonly scenario: string;
  /** How much better b is than a: 1.25 = 25 % more frames per second, or 20 % less latency or CPU. */
  readonly ratio: number;
  /** 95 %. */
  readonly interval: readonly [number, number];
  readonly verdict: ComparisonVerdict;
  /** In the order in which they were measured: `ABBAABBA`. */
  readonly order: string;
  readonly a: readonly TrialResult[];
  readonly b: readonly TrialResult[];
}

export interface ComparisonOptions extends TrialOptions {
  readonly seed: number;
  /** Pairs of measurements, at least five; default 6. */
  readonly pairs?: number;
  /** Default `fps`, which says something only offline: paced cameras have the same rate. */
  readonly metric?: ComparisonMetric;
}

/** Returns the verdict on an interval of a ratio: it must clear a margin of 2 %. */
export function comparisonVerdict([low, high]: readonly [number, number]): ComparisonVerdict {
  if (low > 1 + MARGIN) return 'better';
  return high < 1 - MARGIN ? 'worse' : 'inconclusive';
}

/** Returns the order of measurements, A B B A and so on, so that a drift of the machine favours neither. */
export function interleavedOrder(pairs: number): readonly ('a' | 'b')[] {
  return Array.from({ length: pairs }, (_, i) => (i % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const))).flat();
}

/**
 * Compares two configurations under one scenario, at equal load. Both stay loaded; they are measured in turn.
 *
 * @throws as `OpenTrial.open` and `measure`; RangeError for fewer than five pairs.
 */
export async function compareTrials(
  a: TrialSetup,
  b: TrialSetup,
  scenario: Scenario,
  options: ComparisonOptions,
): Promise<Comparison> {
  return withBoth(a, b, options, ({ a: first, b: second }) =>
    compareInterleaved(
      (which) => (which === 'a' ? first : second).measure(scenario, options),
      scenarioName(scenario),
      options,
    ),
  );
}

/** Measures two configurations A B B A: shows how they differ, without an interval. @throws as `compareTrials`. */
export async function measurePair(
  a: TrialSetup,
  b: TrialSetup,
  scenario: Scenario,
  options: TrialOptions,
): Promise<{ readonly a: readonly [TrialResult, TrialResult]; readonly b: readonly [TrialResult, TrialResult] }> {
  return withBoth(a, b, options, async (trials) => {
    const firstA = await trials.a.measure(scenario, options);
    const b = [await trials.b.measure(scenario, options), await trials.b.measure(scenario, options)] as const;
    return { a: [firstA, await trials.a.measure(scenario, options)], b };
  });
}

/** Opens both, and closes them whatever happens. */
async function withBoth<T>(
  a: TrialSetup,
  b: TrialSetup,
  options: TrialOptions,
  use: (trials: { readonly a: OpenTrial; readonly b: OpenTrial }) => Promise<T>,
): Promise<T> {
  const trialA = await OpenTrial.open(a, options);
  try {
    const trialB = await OpenTrial.open(b, options);
    try {
      return await use({ a: trialA, b: trialB });
    } finally {
      await trialB.close();
    }
  } finally {
    await trialA.close();
  }
}

/** Measures in turn, and compares. @param measure - runs the same scenario on one of the two. */
export async function compareInterleaved(
  measure: (which: 'a' | 'b') => Promise<TrialResult>,
  scenario: string,
  { pairs = 6, metric = 'fps', seed, signal, note }: ComparisonOptions,
): Promise<Comparison> {
  if (!Number.isInteger(pairs) || pairs < FEWEST_PAIRS)
    throw new RangeError(`expected at least ${FEWEST_PAIRS} pairs, received ${pairs}`);
  const results = { a: [] as TrialResult[], b: [] as TrialResult[] };
  const order = interleavedOrder(pairs);
  for (const [i, which] of order.entries()) {
    signal.throwIfAborted();
    results[which].push(await measure(which));
    note(`${scenario}: ${i + 1} of ${order.length}, ${which} ${results[which].at(-1)!.fps.toFixed(1)} frames/s`);
  }
  const { isMoreBetter, of } = METRICS[metric];
  const [from, to] = isMoreBetter ? [results.a, results.b] : [results.b, results.a];
  const estimate = await ratioInterval(from.map(of), to.map(of), seed);
  const verdict = comparisonVerdict(estimate.interval);
  return { metric, scenario, ...estimate, verdict, order: order.join('').toUpperCase(), ...results };
}

const CONFIDENCE = 0.95;
const RESAMPLES = 4_000;
/** With fewer, no resample reaches as far as a 95 % interval must. */
const FEWEST_PAIRS = 5;

interface RatioInterval {
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
