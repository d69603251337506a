import { type AttemptOutcome, type CapacitySearchOptions, outcomeOf, searchCapacity } from './search-capacity.ts';
import { DEFAULT_DROPS, judgeTargets, parseTargets } from './targets.ts';
import type { TargetVerdict, TrialResult } from './trial-result.ts';

/** The number of cameras grows by this factor. */
const GROWTH = 2;

/** A trial with one number of cameras. */
interface CapacityStep {
  readonly streams: number;
  readonly isMet: boolean;
  readonly result: TrialResult;
}

export interface Capacity {
  /** The largest number of cameras that meets the targets, which two trials proved; 0 if not even one does. */
  readonly streams: number;
  /** Of the last trial with that number that met the targets, or of the last one with the fewest cameras if none does. */
  readonly result: TrialResult;
  /** All trials, in order. */
  readonly steps: readonly CapacityStep[];
  /** True if the search ended at `most`, so that more may be possible. */
  readonly isLimited: boolean;
  /** False if the time was over before two trials proved it. */
  readonly isProven: boolean;
}

/** By default from 1 camera on, and at most 256. */
export interface CapacityOptions
  extends Pick<CapacitySearchOptions, 'isOver' | 'signal'>,
    Partial<Pick<CapacitySearchOptions, 'start' | 'most'>> {
  readonly note: (text: string) => void;
}

/**
 * Finds the largest number of cameras that meets the targets; see `searchCapacity`.
 *
 * Targets for the number of streams are left out, since that number is what is sought. Without a target for drops, at
 * most 1 % of the frames of each camera may be dropped. A target that a proof leaves undecided is not met.
 *
 * @param measure - runs `cameras` with this number, with targets; `isProof` asks for as many frames as a verdict needs
 * (`framesToDecide`), else a first look that takes seconds is enough.
 */
export async function findCapacity(
  measure: (streams: number, isProof: boolean) => Promise<TrialResult>,
  { start = 1, most = 256, signal, note, isOver = () => false }: CapacityOptions,
): Promise<Capacity> {
  const steps: CapacityStep[] = [];
  const attempt = async (streams: number, isProof: boolean): Promise<AttemptOutcome> => {
    const result = await measure(streams, isProof);
    if (result.targets.length === 0) throw new RangeError('a search for the capacity needs targets');
    const verdicts = withDrops(result);
    const outcome = outcomeOf(verdicts);
    steps.push({ streams, isMet: outcome === 'held', result });
    note(`${streams} cameras: ${inWords(verdicts)}`);
    return outcome;
  };
  const found = await searchCapacity(attempt, { start, most, growth: GROWTH, undecidedIs: 'failed', signal, isOver });
  const own = steps.filter(({ streams }) => streams === Math.max(1, found.cameras));
  const last = own.findLast(({ isMet }) => isMet) ?? own.at(-1)!;
  return {
    streams: found.cameras,
    result: last.result,
    steps,
    isLimited: found.cameras === most,
    isProven: found.isProven,
  };
}

function withDrops(result: TrialResult): readonly TargetVerdict[] {
  if (result.targets.some(({ target }) => target.startsWith('drops'))) return result.targets;
  return [...result.targets, ...judgeTargets(parseTargets(DEFAULT_DROPS), result)];
}

function inWords(verdicts: readonly TargetVerdict[]): string {
  const open = verdicts.filter(({ target, state }) => state !== 'met' && !target.startsWith('streams'));
  if (open.length === 0) return 'all targets met';
  return open.map(({ target, state, reason }) => `${target} ${state} (${reason})`).join('; ');
}
