import type { Difference } from '../gate/difference.ts';
import { hasSameSkips, skipsWork } from '../levers/levers.ts';
import type { Configuration } from '../result.ts';
import type { MeasuredConfiguration } from './experiments.ts';

type Rated = Pick<MeasuredConfiguration, 'fps' | 'meetsTargets'>;

/** A configuration that may become the result, and its chance to pass on the held-out part. */
export interface Finalist {
  readonly measured: Pick<MeasuredConfiguration, 'configuration' | 'fps' | 'meetsTargets'>;
  readonly chance: number;
  /** The chance to pass if people settle in its favour what only they can settle; default: `chance`. */
  readonly settledChance?: number;
}

/** A further finalist costs a verdict on the held-out part and makes every verdict stricter; a further run costs time. */
export const LEAST_BENEFIT = 1.01;
const MISSED_RATIO = 1e-3;
/** The fastest rung is one that passes as often as not. */
const LIKELY = 0.5;

/**
 * Chooses the finalists for the held-out part: the few of which the fastest that passes is expected to be fastest. A fast configuration
 * with a small chance is backed by a slower one with a larger chance.
 *
 * One network at one size is judged once in each way of skipping: in another format it passes or fails for the same reason. What skips less can
 * pass where what skips more has failed.
 *
 * @param candidates - one for each set of detections, all faster than `fallbackFps`.
 * @param fallback - the fastest configuration that detects what the baseline detects; it needs no verdict.
 * @returns at most `most`, the fastest first.
 */
export function chooseFinalists(candidates: readonly Finalist[], fallback: Rated, most: number): Finalist[] {
  const least = worthOf(fallback);
  const chosen: Finalist[] = [];
  for (;;) {
    const before = expectedWorth(chosen, least);
    const next = candidates
      .filter((candidate) => !chosen.some((other) => isAlike(candidate, other)))
      .map((candidate) => ({ candidate, fps: expectedWorth([...chosen, candidate], least) }))
      .sort((a, b) => b.fps - a.fps)[0];
    if (next === undefined || chosen.length === most || next.fps < before * LEAST_BENEFIT) return bySpeed(chosen);
    chosen.push(next.candidate);
  }
}

/**
 * Names the rungs that are judged on the held-out part, before it is opened: the fastest that may pass whatever people have to settle, the ones that
 * are expected to be proven, and the safest, which is the baseline's own network in another format. Far apart, since what is alike falls for
 * the same reason.
 *
 * @param candidates - as in `chooseFinalists`; `chance` is that of being proven. @param baseline - its network is the safest.
 * @returns at most `most`, the fastest first.
 */
export function chooseRungs(
  candidates: readonly Finalist[],
  baseline: Network,
  fallback: Rated,
  most: number,
): Finalist[] {
  const worthwhile = candidates.filter(({ measured }) => worthOf(measured) >= worthOf(fallback) * LEAST_BENEFIT);
  const isOwn = ({ measured: { configuration } }: Finalist): boolean => isSameNetwork(configuration, baseline);
  const byWorth = (own: readonly Finalist[]): Finalist | undefined =>
    [...own].sort((a, b) => expectedAlone(b, fallback) - expectedAlone(a, fallback))[0];
  const likely = bySpeed(
    worthwhile.filter(({ settledChance = 0, chance }) => Math.max(settledChance, chance) >= LIKELY),
  );
  const [fastest] = likely;
  const safest = byWorth(worthwhile.filter((one) => isOwn(one) && one.chance > 0));
  // Where skipping is what fails, each way of skipping fails: its network alone is the rung behind it.
  const isPlain = ({ measured: { configuration } }: Finalist): boolean =>
    isSameNetwork(configuration, fastest!.measured.configuration) && !skipsWork(configuration);
  const wanted = [fastest, safest, likely.find(isPlain), ...chooseFinalists(candidates, fallback, most)];
  const chosen: Finalist[] = [];
  for (const one of wanted)
    if (one !== undefined && chosen.length < most && !chosen.some((other) => isAlike(one, other))) chosen.push(one);
  return bySpeed(chosen);
}

/** The rate that the best of these finalists and `fallback` is expected to reach, in frames per second. */
export function expectedFps(candidates: readonly Finalist[], fallback: Rated, most: number): number {
  return expectedWorth(chooseFinalists(candidates, fallback, most), worthOf(fallback));
}

/** What this configuration is expected to reach as the only finalist. */
export function expectedAlone({ measured, chance }: Finalist, fallback: Rated): number {
  return chance * worthOf(measured) + (1 - chance) * worthOf(fallback);
}

type Network = Pick<Configuration, 'model' | 'inputSize'>;

function isSameNetwork(a: Network, b: Network): boolean {
  return a.model === b.model && a.inputSize === b.inputSize;
}

function isAlike({ measured: { configuration: a } }: Finalist, { measured: { configuration: b } }: Finalist): boolean {
  return isSameNetwork(a, b) && hasSameSkips(a, b);
}

/** What the fastest finalist that passes reaches on average, if they pass independently of each other. */
function expectedWorth(finalists: readonly Finalist[], least: number): number {
  let [expected, open] = [0, 1];
  for (const { measured, chance } of bySpeed(finalists)) {
    expected += open * chance * worthOf(measured);
    open *= 1 - chance;
  }
  return expected + open * least;
}

/** A configuration that misses a target ranks below all that meet every target. */
function worthOf({ fps, meetsTargets }: Rated): number {
  return meetsTargets ? fps : fps * MISSED_RATIO;
}

function bySpeed(finalists: readonly Finalist[]): Finalist[] {
  return [...finalists].sort(
    (a, b) => Number(b.measured.meetsTargets) - Number(a.measured.meetsTargets) || b.measured.fps - a.measured.fps,
  );
}

/** How a finalist fared on the held-out part. */
export interface FinalVerdict {
  readonly configuration: Configuration;
  readonly fps: number;
  /** `not judged`: a faster one had passed, or time was short. */
  readonly verdict: 'passed' | 'refused' | 'inconclusive' | 'not judged';
  /** What people have to settle before it may be used; one that passes with none is proven. */
  readonly differences: readonly Difference[];
  readonly reason: string;
  readonly measurements: readonly string[];
}
