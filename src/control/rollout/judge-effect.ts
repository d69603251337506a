import { type Estimate, FEWEST_BLOCKS, lowerBound, upperBound } from '../../measure/sequential.ts';
import type { GuardReport, GuardVerdict } from '../../protocol/rollout-records.ts';

/**
 * Harm is mostly rare and large, so a short time without it says little: the mean of few blocks is too low more often than too
 * high. To fail, `FEWEST_BLOCKS` are enough.
 */
const FEWEST_BLOCKS_TO_PASS = 32;

/** What a statistical guard looks at. */
export interface Question {
  readonly guard: string;
  /** The figure, as a sentence's subject: `the number of boxes`. */
  readonly subject: string;
  /** The direction that does harm. */
  readonly harm: 'rise' | 'fall' | 'change';
  readonly unit: 'relative' | 'points';
  readonly margin: number;
}

/** Error probabilities over all looks of a step. */
export interface Risks {
  /** That a guard passes an effect that is beyond the margin. All guards must pass, so each may use all of it. */
  readonly pass: number;
  /** That a guard fails an effect that is within the margin. One guard is enough to fail, so each has its share. */
  readonly fail: number;
}

export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Judges an effect by its interval: pass if all of it is within the margin, fail if all of it is beyond, else undecided.
 *
 * The end that faces harm is computed with the risk of a wrong pass, the other end with the risk of a wrong failure.
 *
 * @param estimate - null without data.
 * @param frames - frames of the candidate behind it.
 * @param without - the reason where there is no estimate, a sentence.
 */
export function judgeEffect(
  question: Question,
  estimate: Estimate | null,
  frames: number,
  risks: Risks,
  without: string,
): GuardReport {
  if (estimate === null) return noData(question, frames, without);
  const { harm } = question;
  const interval = {
    estimate: estimate.value,
    low: lowerBound(estimate, harm === 'fall' ? risks.pass : risks.fail),
    high: upperBound(estimate, harm === 'rise' ? risks.pass : risks.fail),
  };
  return judgeInterval(question, interval, frames, estimate.blocks);
}

/** Judges an interval. @param blocks - blocks of time that it was computed from. */
export function judgeInterval(
  question: Question,
  { estimate, low, high }: Interval,
  frames: number,
  blocks: number,
): GuardReport {
  const { guard, margin, harm } = question;
  const isBelow = harm !== 'rise' && high <= -margin;
  const isAbove = harm !== 'fall' && low >= margin;
  const isWithin = (harm === 'rise' || low >= -margin) && (harm === 'fall' || high <= margin);
  const needed = isBelow || isAbove ? FEWEST_BLOCKS : FEWEST_BLOCKS_TO_PASS;
  const verdict: GuardVerdict =
    blocks < needed ? 'undecided' : isBelow || isAbove ? 'fail' : isWithin ? 'pass' : 'undecided';
  const size = amount(question, margin);
  const why = {
    fail: `all beyond the margin of ${size}`,
    pass: `within the margin of ${size}`,
    undecided:
      blocks < needed
        ? `in ${blocks} blocks of time, of which ${needed} are needed`
        : `which does not settle the margin of ${size} yet`,
  }[verdict];
  const report = { guard, kind: 'statistical' as const, verdict, estimate, low: finite(low), high: finite(high) };
  const range =
    Number.isFinite(low) && Number.isFinite(high) ? ` (${signed(question, low)} to ${signed(question, high)})` : '';
  const reason = `${question.subject} differs by ${signed(question, estimate)}${range} on ${frames} frames, ${why}.`;
  return { ...report, margin, frames, reason: capital(reason) };
}

export function noData({ guard, margin }: Question, frames: number, reason: string): GuardReport {
  return {
    ...{ guard, kind: 'statistical', verdict: 'no-data', estimate: null, low: null, high: null },
    ...{ margin, frames, reason },
  };
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function amount({ unit }: Question, value: number): string {
  return unit === 'relative' ? `${+(value * 100).toFixed(1)} %` : `${+(value * 100).toFixed(1)} points`;
}

function signed(question: Question, value: number): string {
  return `${value >= 0 ? '+' : ''}${amount(question, value)}`;
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
