import { differenceOf, type Estimate, pairedDifference, ratioOfBlocks, withErrors } from '../../measure/sequential.ts';
import { BlockSeries } from './block-series.ts';

/**
 * Share of the candidate's weight that must lie in blocks that the control has too. What is left out depends on turns only, so it does not
 * distort; and with few streams shorter blocks come to a decision sooner.
 */
const PAIRED_SHARE = 0.6;

export interface Columns {
  /** What is counted. */
  readonly a: number;
  /** What it is counted against. */
  readonly b: number;
}

/** Two sides, compared by blocks of time. */
export interface SideComparison {
  /** Candidate minus control. */
  readonly difference: Estimate;
  /** The ratio `a / b` of each side, over the blocks that were compared. */
  readonly candidate: number;
  readonly control: number;
}

/** Both sides of the same streams. */
export interface Sides {
  readonly candidate: BlockSeries;
  readonly control: BlockSeries;
  /** The series have the same blocks: both sides ran at the same time. */
  readonly isPaired: boolean;
}

/** Blocks may be made this many times as long: until both sides had their turn in each. With many streams they have in every second. */
const FACTORS = [1, 2, 4, 8, 16];

/**
 * Reduces two series to the blocks that both have, if these hold most of the candidate: in the shortest blocks for which that is
 * so.
 *
 * @param weight - column that says how much of the candidate a block holds.
 */
export function alignSides(candidate: BlockSeries, control: BlockSeries, weight: number): Sides {
  for (const factor of FACTORS) {
    const shared = BlockSeries.common(candidate, control, factor);
    if (!shared.first.isEmpty && shared.first.sum(weight) >= PAIRED_SHARE * candidate.sum(weight))
      return { candidate: shared.first, control: shared.second, isPaired: true };
  }
  return { candidate, control, isPaired: false };
}

/**
 * Compares a ratio of both sides. Where both were observed in the same blocks, block by block: a stall of the machine hits both sides
 * and says nothing about the candidate. Else as two samples, at different times of the step.
 *
 * @param typical - see `ratioOfBlocks`.
 * @returns null if one side has nothing.
 */
export function compareSides(
  { candidate, control, isPaired }: Sides,
  candidateColumns: Columns,
  controlColumns: Columns,
  typical: number,
): SideComparison | null {
  const [own, other] = [columnsOf(candidate, candidateColumns), columnsOf(control, controlColumns)];
  const [first, second] = [ratioOfBlocks(own.a, own.b, typical), ratioOfBlocks(other.a, other.b, typical)];
  if (first === null || second === null) return null;
  const difference = isPaired ? pairedDifference(own, other, typical) : differenceOf(first, second);
  return difference === null ? null : { difference, candidate: first.value, control: second.value };
}

/** The difference relative to the control; null if the control's ratio is not positive. */
export function relativeEstimate({ difference, candidate, control }: SideComparison): Estimate | null {
  if (control <= 0) return null;
  // The error of the control weighs more where the candidate is larger (delta method).
  const weight = Math.max(1, candidate / control) / control;
  const { thirdMoment, ...rest } = withErrors(difference, (standardError) => standardError * weight);
  return { ...rest, value: difference.value / control, thirdMoment: thirdMoment * weight ** 3 };
}

function columnsOf(series: BlockSeries, { a, b }: Columns): { a: number[]; b: number[] } {
  return { a: series.column(a), b: series.column(b) };
}
