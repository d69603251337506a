import type { TargetVerdict, TrialResult } from './trial-result.ts';

/** Most frames that cameras may lose, if no target says otherwise: latency is short where most frames are dropped. */
const MAX_DROP_RATIO = 0.01;

/** Where this share of the frames is lost, there is no need to measure again. */
const CLEAR_DROP_RATIO = 0.2;

/** A trial with one number of cameras. */
export interface CapacityStep {
  readonly streams: number;
  readonly isMet: boolean;
  readonly result: TrialResult;
}

export interface Capacity {
  /** The largest number of cameras that meets the targets; 0 if not even one does. */
  readonly streams: number;
  /** Of the trial with that number, or with one camera if none meets them. */
  readonly result: TrialResult;
  /** All trials, in order. */
  readonly steps: readonly CapacityStep[];
  /** True if the search ended at `most`, so that more may be possible. */
  readonly isLimited: boolean;
}

export interface CapacityOptions {
  /** A guess where to start; default 1. */
  readonly start?: number;
  /** Most cameras to try; default 256. */
  readonly most?: number;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

/**
 * Finds the largest number of cameras that meets the targets, by doubling and bisection: about 2 log2(n) trials. A number is too
 * large if it misses a target twice, or loses a fifth of the frames: a disturbance passes, a load does not.
 *
 * Targets for the number of streams are left out, since that number is what is sought. Without a target for drops, at
 * most 1 % of the frames may be dropped. A target with too few frames is not met.
 *
 * @param measure - runs `cameras` with this number, with targets.
 */
export async function findCapacity(
  measure: (streams: number) => Promise<TrialResult>,
  { start = 1, most = 256, signal, note }: CapacityOptions,
): Promise<Capacity> {
  if (!(Number.isInteger(start) && start >= 1 && Number.isInteger(most) && most >= start))
    throw new RangeError(`expected whole numbers 1 <= start <= most, received ${start} and ${most}`);
  const steps: CapacityStep[] = [];
  const trial = async (streams: number): Promise<CapacityStep> => {
    signal.throwIfAborted();
    const result = await measure(streams);
    if (result.targets.length === 0) throw new RangeError('a search for the capacity needs targets');
    const complaints = complaintsOf(result);
    const step = { streams, isMet: complaints.length === 0, result };
    steps.push(step);
    note(`${streams} cameras: ${complaints.length === 0 ? 'all targets met' : complaints.join('; ')}`);
    return step;
  };
  const isMet = async (streams: number): Promise<boolean> => {
    const { isMet: isMetAtOnce, result } = await trial(streams);
    return isMetAtOnce || (result.dropRatio < CLEAR_DROP_RATIO && (await trial(streams)).isMet);
  };
  let good = 0;
  let bad = most + 1;
  let next = start;
  while (bad - good > 1) {
    if (await isMet(next)) good = next;
    else bad = next;
    next = bad > most ? Math.min(most, good * 2) : Math.floor((good + bad) / 2);
  }
  const last = steps.findLast(({ streams }) => streams === Math.max(1, good))!;
  return { streams: good, result: last.result, steps, isLimited: good === most };
}

function complaintsOf({ targets, dropRatio }: TrialResult): string[] {
  const complaints = targets
    .filter(({ target, state }) => state !== 'met' && !target.startsWith('streams'))
    .map(inWords);
  const hasDropTarget = targets.some(({ target }) => target.startsWith('drops'));
  if (!hasDropTarget && dropRatio > MAX_DROP_RATIO)
    complaints.push(`${(dropRatio * 100).toFixed(1)} % of the frames were dropped`);
  return complaints;
}

function inWords({ target, state, reason }: TargetVerdict): string {
  return `${target} ${state} (${reason})`;
}
