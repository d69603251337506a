import { type Estimate, lowerBound, upperBound, withErrors } from '../../../base/statistics/sequential.ts';
import type { GuardReport } from '../../../wire/protocol/rollout-records.ts';
import { compareSides, type Sides } from './compare-sides.ts';
import { TAIL_SHARE } from './guards/guard.ts';
import { judgeInterval, noData, type Question, type Risks } from './judge-effect.ts';
import { tailColumn } from './side-history.ts';

/**
 * Compares the 99th percentile of latency of two sides.
 *
 * The candidate's percentile is `r` times the control's, or more, if as many of its frames lie above `r` times the tail as frames of
 * the control lie above the tail. So each `r` is a comparison of two shares, whatever the distribution of latencies (as in S. Howard
 * and A. Ramdas, Sequential estimation of quantiles, 2022). Those `r` that are not rejected are the interval. No correction for many
 * `r` is needed: only one of them is true.
 *
 * @param spanMs - time in which the blocks came: further ones come no faster. @param without - why there is nothing to judge.
 * @param factors - the `r` of the candidate's tail columns, ascending; holds 1 + margin.
 */
export function judgeTail(
  question: Question,
  sides: Sides,
  factors: readonly number[],
  risks: Risks,
  { without, spanMs }: { readonly without: string; readonly spanMs: number },
): GuardReport {
  const frames = sides.candidate.sum('frames');
  const differences = factors.flatMap((factor): TailDifference[] => {
    const excess = excessAbove(sides, factor);
    return excess === null ? [] : [{ factor, excess }];
  });
  if (frames === 0 || differences.length === 0) return noData(question, frames, without);
  const crossing = differences.findIndex(({ excess }) => excess.value < 0);
  const estimate = crossing < 0 ? differences.at(-1)!.factor : between(differences, crossing);
  const above = differences.findLast(({ excess }) => lowerBound(excess, risks.fail) > 0);
  const below = differences.find(({ excess }) => upperBound(excess, risks.pass) < 0);
  const interval = {
    estimate: estimate - 1,
    low: above === undefined ? Number.NEGATIVE_INFINITY : above.factor - 1,
    high: below === undefined ? Number.POSITIVE_INFINITY : below.factor - 1,
  };
  // As exact as the factors themselves: (1 + 0.1) - 1 is not 0.1.
  const margin = 1 + question.margin - 1;
  const { blocks } = differences[0]!.excess;
  const basis = { blocks, spanMs };
  return { ...judgeInterval({ ...question, margin }, interval, frames, basis), margin: question.margin };
}

interface TailDifference {
  readonly factor: number;
  readonly excess: Estimate;
}

/**
 * Returns the share of the candidate's frames above its tail column, minus that of the control's above the first one. The variance
 * is at least that of independent frames: if no frame is above the tail, all blocks are equal, but the share is not certain. If the
 * candidate has fewer, it is that of two equal shares, which is what must be excluded: their mean.
 */
function excessAbove(sides: Sides, factor: number): Estimate | null {
  const columns = { a: tailColumn(factor), b: 'frames' };
  const compared = compareSides(sides, columns, { ...columns, a: tailColumn(1) }, TAIL_SHARE);
  if (compared === null) return null;
  const mean = (compared.control + compared.candidate) / 2;
  const likely = Math.min(0.5, Math.max(compared.control, TAIL_SHARE), Math.max(mean, TAIL_SHARE / 2));
  const { candidate, control } = compared.weights;
  const least = likely * (1 - likely) * (1 / candidate + 1 / control);
  return withErrors(compared.difference, (standardError) => Math.max(standardError, Math.sqrt(least)));
}

/** The factor at which the excess passes through 0, between two neighbours. */
function between(differences: readonly TailDifference[], after: number): number {
  const right = differences[after]!;
  const left = differences[after - 1];
  if (left === undefined) return right.factor;
  const part = left.excess.value / (left.excess.value - right.excess.value);
  return left.factor + part * (right.factor - left.factor);
}
