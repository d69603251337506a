import { type Estimate, pairedDifference, withErrors } from '../../measure/sequential.ts';
import { BlockSeries } from './block-series.ts';

/**
 * Share of the candidate's weight that must lie in blocks that the control has too. Dropping unpaired blocks adds no bias, since only the turns
 * decide which ones they are. With few streams, shorter blocks decide sooner.
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

/** Both sides of the same streams, in the same blocks. */
export interface Sides {
  readonly candidate: BlockSeries;
  readonly control: BlockSeries;
}

/**
 * Blocks can be made longer by these factors, until both sides had a turn in each. With many streams both have one in every second.
 */
const FACTORS = [1, 2, 4, 8, 16];

/**
 * Reduces two series to the blocks that both have: in the shortest blocks that hold most of the candidate, else in the longest.
 * Blocks without a counterpart, such as those of a time without turns, are left out.
 *
 * @param weight - column that says how much of the candidate a block holds.
 */
export function alignSides(candidate: BlockSeries, control: BlockSeries, weight: number): Sides {
  let shared = { first: candidate, second: control };
  for (const factor of FACTORS) {
    shared = BlockSeries.common(candidate, control, factor);
    if (!shared.first.isEmpty && shared.first.sum(weight) >= PAIRED_SHARE * candidate.sum(weight)) break;
  }
  return { candidate: shared.first, control: shared.second };
}

/**
 * Compares a ratio of both sides block by block: a stall of the machine hits both sides and says nothing about the candidate.
 *
 * @param typical - see `ratioOfBlocks`.
 * @returns null if one side has nothing.
 */
export function compareSides(
  { candidate, control }: Sides,
  candidateColumns: Columns,
  controlColumns: Columns,
  typical: number,
): SideComparison | null {
  const [own, other] = [columnsOf(candidate, candidateColumns), columnsOf(control, controlColumns)];
  const [first, second] = [ratioOf(own), ratioOf(other)];
  if (first === null || second === null) return null;
  const difference = pairedDifference(own, other, typical);
  return difference === null ? null : { difference, candidate: first, control: second };
}

/** The difference relative to the control; null if the control's ratio is not positive. */
export function relativeEstimate({ difference, candidate, control }: SideComparison): Estimate | null {
  if (control <= 0) return null;
  // The error of the control has more weight if the candidate is larger (delta method).
  const weight = Math.max(1, candidate / control) / control;
  const { thirdMoment, ...rest } = withErrors(difference, (standardError) => standardError * weight);
  return { ...rest, value: difference.value / control, thirdMoment: thirdMoment * weight ** 3 };
}

function ratioOf({ a, b }: { readonly a: readonly number[]; readonly b: readonly number[] }): number | null {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const whole = sum(b);
  return whole > 0 ? sum(a) / whole : null;
}

function columnsOf(series: BlockSeries, { a, b }: Columns): { a: number[]; b: number[] } {
  return { a: series.column(a), b: series.column(b) };
}
