import { type Estimate, FEWEST_BLOCKS, lowerBound, upperBound } from '../../../base/statistics/sequential.ts';
import type { GuardReport, GuardVerdict } from '../../../wire/protocol/rollout-records.ts';
import type { Guard } from './guards/guard.ts';
import { percent } from './observed.ts';

/**
 * Blocks that are needed to pass. Harm is mostly rare and large, so a short time without it proves little: the mean of few blocks
 * is too low more often than too high. To fail, `FEWEST_BLOCKS` are enough.
 */
const FEWEST_BLOCKS_TO_PASS = 32;

/** Longer waits are not estimated. */
const MOST_LEFT_MS = 7 * 86_400_000;

/** What a statistical guard looks at. */
export interface Question extends Pick<Guard, 'subject' | 'harm' | 'unit'> {
  readonly guard: string;
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
 * @param spanMs - time that the estimate covers.
 */
export function judgeEffect(
  question: Question,
  estimate: Estimate | null,
  frames: number,
  risks: Risks,
  without: string,
  spanMs: number,
): GuardReport {
  if (estimate === null) return noData(question, frames, without);
  const { harm, margin } = question;
  const [passLow, passHigh] = [lowerBound(estimate, risks.pass), upperBound(estimate, risks.pass)];
  // Both ends of a change can pass and fail. The narrower interval is only used to say that the change is within the margin.
  const isWithin = passLow >= -margin && passHigh <= margin;
  const interval = {
    estimate: estimate.value,
    low: harm === 'fall' || (harm === 'change' && isWithin) ? passLow : lowerBound(estimate, risks.fail),
    high: harm === 'rise' || (harm === 'change' && isWithin) ? passHigh : upperBound(estimate, risks.fail),
  };
  return judgeInterval(question, interval, frames, { blocks: estimate.blocks, spanMs });
}

/** The blocks of time that an interval was computed from. */
export interface Basis {
  readonly blocks: number;
  readonly spanMs: number;
}

export function judgeInterval(question: Question, interval: Interval, frames: number, basis: Basis): GuardReport {
  const { guard, margin, harm } = question;
  const { estimate, low, high } = interval;
  const { blocks } = basis;
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
  const leftMs = verdict === 'undecided' ? leftUntilDecided(question, interval, basis, needed) : null;
  return { ...report, margin, frames, reason: capital(reason), leftMs };
}

/**
 * Time until the interval lies on one side of the margin, if the estimate stays where it is: the interval shrinks with the square root
 * of the time. null if it is unknown.
 */
function leftUntilDecided(
  { harm, margin }: Question,
  { estimate, low, high }: Interval,
  { blocks, spanMs }: Basis,
  needed: number,
): number | null {
  const waits = [blocks < needed ? needed / Math.max(1, blocks) - 1 : 0];
  if (blocks >= needed) {
    const ends: [room: number, outwards: number, inwards: number][] = [];
    if (harm !== 'fall') ends.push([margin - estimate, high - estimate, estimate - low]);
    if (harm !== 'rise') ends.push([margin + estimate, estimate - low, high - estimate]);
    const beyond = ends.find(([room]) => room < 0);
    for (const [room, outwards, inwards] of beyond === undefined ? ends : [beyond])
      waits.push(((room < 0 ? inwards : outwards) / room) ** 2 - 1);
  }
  const leftMs = spanMs * Math.max(...waits);
  return leftMs <= MOST_LEFT_MS ? leftMs : null;
}

/** After this time of a step a speed that noise keeps undecided is judged by `largest`. */
export const LATE_MS = 270_000;
/** By then the estimate must be within this part of the margin: that of a candidate beyond it rarely is. */
const LATE_SHARE = 0.5;

/**
 * Lets a guard pass that noise would keep undecided for long, as on a busy machine: once the step has lasted `LATE_MS`, it passes if the
 * estimate is well within the margin and the interval excludes harm beyond `largest`. Each later step asks anew.
 *
 * @param largest - what a single stream may differ by.
 */
export function judgedLate(
  report: GuardReport,
  {
    question,
    largest,
    elapsedMs,
  }: { readonly question: Question; readonly largest: number; readonly elapsedMs: number },
): GuardReport {
  const { verdict, estimate, low, high, leftMs = null } = report;
  const { harm, margin } = question;
  if (verdict !== 'undecided' || estimate === null || harm === 'change') return report;
  const worst = harm === 'rise' ? high : low;
  const sign = harm === 'rise' ? 1 : -1;
  if (sign * estimate > LATE_SHARE * margin || worst === null || sign * worst > largest) return report;
  const untilMs = LATE_MS - elapsedMs;
  if (untilMs > 0) return { ...report, leftMs: Math.min(leftMs ?? untilMs, untilMs) };
  const settled = `That does not settle the margin of ${amount(question, margin)} in ${Math.round(elapsedMs / 60_000)} min, but excludes ${amount(question, largest)}`;
  return {
    ...report,
    verdict: 'pass',
    reason: `${report.reason.replace(/, which does not settle[^.]*\.$/, '.')} ${settled}.`,
    leftMs: null,
  };
}

export function noData({ guard, margin }: Question, frames: number, reason: string): GuardReport {
  return {
    guard,
    kind: 'statistical',
    verdict: 'no-data',
    estimate: null,
    low: null,
    high: null,
    margin,
    frames,
    reason,
    leftMs: null,
  };
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function amount({ unit }: Question, value: number): string {
  return unit === 'relative' ? percent(value) : `${+(value * 100).toFixed(1)} points`;
}

function signed(question: Question, value: number): string {
  return `${value >= 0 ? '+' : ''}${amount(question, value)}`;
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
