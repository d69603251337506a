import { type Estimate, pairedDifference, withErrors } from '../../../base/statistics/sequential.ts';
import { BlockSeries } from './block-series.ts';

/**
 * Share of the candidate's weight that must lie in blocks that the control has too. Dropping unpaired blocks adds no bias, since only the turns
 * decide which ones they are. With few streams, shorter blocks decide sooner.
 */
const PAIRED_SHARE = 0.6;
/** As long as there are so many blocks, longer ones are taken, which hold more of the candidate, up to this share. */
const MANY_BLOCKS = 64;
const NEARLY_ALL = 0.95;

/** Names of the columns of what is counted, and what it is counted against. */
export interface Columns {
  readonly a: string;
  readonly b: string;
}

/** Two sides, compared by blocks of time. */
export interface SideComparison {
  /** Candidate minus control. */
  readonly difference: Estimate;
  /** The ratio `a / b` of each side, over the blocks that were compared. */
  readonly candidate: number;
  readonly control: number;
  /** The sum of `b` of each side, as far as it counts. */
  readonly weights: { readonly candidate: number; readonly control: number };
}

/** Both sides of the same streams, in the same blocks. */
export interface Sides {
  readonly candidate: BlockSeries;
  readonly control: BlockSeries;
  /**
   * Both sides of a block get the same weight, however many frames each has. What others take differs from block to block, and must not
   * count for the side that had most of its frames there. Where nothing is taken, it would only cost frames.
   */
  readonly isBalanced?: boolean;
}

/**
 * Blocks can be made longer by these factors, until both sides had a turn in each. With many streams both have one in every second.
 */
const FACTORS = [1, 2, 4, 8, 16];

/**
 * Reduces two series to the blocks that both have: in the shortest blocks that hold most of the candidate, or longer ones while there are
 * many; else in the longest.
 * Blocks without a counterpart, such as those of a time without turns, are left out.
 *
 * @param weight - column that says how much of the candidate a block holds.
 */
export function alignSides(candidate: BlockSeries, control: BlockSeries, weight: string): Sides {
  const whole = candidate.sum(weight);
  let chosen = { first: candidate, second: control };
  let share = 0;
  for (const factor of FACTORS) {
    if (share >= NEARLY_ALL) break;
    const longer = BlockSeries.common(candidate, control, factor);
    if (share >= PAIRED_SHARE && longer.first.length < MANY_BLOCKS) break;
    chosen = longer;
    share = longer.first.isEmpty ? 0 : longer.first.sum(weight) / whole;
  }
  return { candidate: chosen.first, control: chosen.second };
}

/**
 * Compares a ratio of both sides block by block: a stall of the machine hits both sides and says nothing about the candidate.
 *
 * @param typical - see `ratioOfBlocks`.
 * @returns null if one side has nothing.
 */
export function compareSides(
  { candidate, control, isBalanced = false }: Sides,
  candidateColumns: Columns,
  controlColumns: Columns,
  typical: number,
): SideComparison | null {
  let [own, other] = [columnsOf(candidate, candidateColumns), columnsOf(control, controlColumns)];
  if (isBalanced) [own, other] = [balanced(own, other), balanced(other, own)];
  const difference = pairedDifference(own, other, typical);
  if (difference === null) return null;
  const weights = { candidate: sumOf(own.b), control: sumOf(other.b) };
  const [first, second] = [sumOf(own.a) / weights.candidate, sumOf(other.a) / weights.control];
  return { difference, candidate: first, control: second, weights };
}

/** The difference relative to the control; null if the control's ratio is not positive. */
export function relativeEstimate({ difference, candidate, control }: SideComparison): Estimate | null {
  if (control <= 0) return null;
  // The error of the control has more weight if the candidate is larger (delta method).
  const weight = Math.max(1, candidate / control) / control;
  const { thirdMoment, ...rest } = withErrors(difference, (standardError) => standardError * weight);
  return { ...rest, value: difference.value / control, thirdMoment: thirdMoment * weight ** 3 };
}

interface Counts {
  readonly a: readonly number[];
  readonly b: readonly number[];
}

/** Scales one side of each block to the weight of both, their harmonic mean. */
function balanced(one: Counts, than: Counts): Counts {
  const factors = one.b.map((weight, i) => {
    const both = weight + than.b[i]!;
    return both > 0 ? (2 * than.b[i]!) / both : 0;
  });
  const scale = (values: readonly number[]): number[] => values.map((value, i) => value * factors[i]!);
  return { a: scale(one.a), b: scale(one.b) };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function columnsOf(series: BlockSeries, { a, b }: Columns): Counts {
  return { a: series.column(a), b: series.column(b) };
}
