import { verdictOf } from './targets.ts';
import type { TargetVerdict } from './trial-result.ts';

/**
 * What one attempt says about a number of cameras. `leansTo`: what it looks like, if it was too short or too disturbed to decide.
 */
export type AttemptOutcome = 'held' | 'failed' | { readonly leansTo: 'held' | 'failed' };

/** Runs a number of cameras. @param isProof - long enough for a verdict; else a first look that only guides the search. */
export type Attempt = (cameras: number, isProof: boolean) => Promise<AttemptOutcome>;

export interface CapacitySearchOptions {
  /** Where to start. */
  readonly start: number;
  /** Most cameras. */
  readonly most: number;
  /** Factor by which the number grows while it holds, above 1. */
  readonly growth: number;
  /** How an undecided proof counts: as a failure, or as what it leans to; the number is then not proven. */
  readonly undecidedIs: 'failed' | 'open';
  readonly signal: AbortSignal;
  /** True when no time is left: the search ends with what it knows, not proven. Default never. */
  readonly isOver?: () => boolean;
}

export interface FoundCapacity {
  /** The largest number of cameras that holds; 0 if not even one does. */
  readonly cameras: number;
  /** The smallest number that fails, one more unless the time was over; null if none does. */
  readonly brokenAt: number | null;
  /** True if two attempts proved that the number holds; false if it is only undecided. */
  readonly isProven: boolean;
}

/** A number holds or fails if two attempts of at most three say so. */
const VOTES = 2;

interface Votes {
  held: number;
  failed: number;
  undecided: number;
  /** What it looked like when it was last not decided. */
  lean: 'held' | 'failed' | null;
}

/**
 * Finds the largest number of cameras that holds: up by a factor, then by bisection, with first looks only. Then the two
 * neighbours where it breaks are proven, each by two agreeing attempts, and the search goes on from there if one of them turns out
 * otherwise. A disturbance, or luck, moves neither side.
 *
 * Each attempt is wrong with a probability of at most 1 %. A number that fails is called held only if two of three attempts
 * are wrong: 0.03 %, so that the whole search stays below 1 % for up to 30 numbers.
 */
export async function searchCapacity(attempt: Attempt, options: CapacitySearchOptions): Promise<FoundCapacity> {
  const { start, most, growth, undecidedIs, signal, isOver = () => false } = options;
  if (!(Number.isInteger(start) && start >= 1 && Number.isInteger(most) && most >= start && growth > 1))
    throw new RangeError(`expected whole numbers 1 <= start <= most and a growth above 1, received ${start}, ${most}`);
  const known = new Map<number, Votes>();
  let isProofOnly = false;

  const look = async (cameras: number, isProof: boolean): Promise<void> => {
    signal.throwIfAborted();
    const outcome = await attempt(cameras, isProof);
    const votes = known.get(cameras) ?? { held: 0, failed: 0, undecided: 0, lean: null };
    known.set(cameras, votes);
    if (outcome === 'held' || outcome === 'failed') votes[outcome] += 1;
    else if (!isProof || undecidedIs === 'open') {
      votes.lean = outcome.leansTo;
      if (isProof) votes.undecided += 1;
    } else {
      votes.failed += 1;
      // First looks were too optimistic: from now on every attempt is long enough to decide.
      isProofOnly = true;
      for (const other of known.values()) other.lean = null;
    }
  };

  for (;;) {
    const { good, bad } = bracket(known, most);
    const mayLook = known.size === 0 || !isOver();
    if (mayLook && bad - good > 1) {
      const next =
        known.size === 0
          ? start
          : bad > most
            ? Math.min(most, Math.max(good + 1, Math.floor(good * growth)))
            : middle(good, bad);
      await look(next, isProofOnly);
      continue;
    }
    const open = [bad, good].find((cameras) => cameras >= 1 && cameras <= most && !isSettled(known.get(cameras)));
    if (mayLook && open !== undefined) {
      await look(open, true);
      continue;
    }
    return {
      cameras: good,
      brokenAt: bad > most ? null : bad,
      // Where no time was left, the number above may be larger than the next one.
      isProven: good >= 1 && known.get(good)!.held >= VOTES && bad - good === 1,
    };
  }
}

/** The largest number that seems to hold below the smallest that seems to fail. */
function bracket(known: ReadonlyMap<number, Votes>, most: number): { readonly good: number; readonly bad: number } {
  const sides = [...known].map(([cameras, votes]) => ({ cameras, side: sideOf(votes) }));
  const failing = sides.filter(({ side }) => side === 'failed').map(({ cameras }) => cameras);
  const bad = Math.min(most + 1, ...failing);
  const holding = sides.filter(({ cameras, side }) => side === 'held' && cameras < bad).map(({ cameras }) => cameras);
  return { good: Math.max(0, ...holding), bad };
}

/** Votes decide before leanings. Null if nothing is known. */
function sideOf({ held, failed, lean }: Votes): 'held' | 'failed' | null {
  if (held !== failed) return held > failed ? 'held' : 'failed';
  // Even votes: until another attempt decides, it does not hold.
  return lean ?? (held > 0 ? 'failed' : null);
}

function isSettled(votes: Votes | undefined): boolean {
  if (votes === undefined) return false;
  const { held, failed, undecided } = votes;
  return Math.max(held, failed, undecided) >= VOTES || held + failed + undecided > VOTES;
}

function middle(good: number, bad: number): number {
  return Math.floor((good + bad) / 2);
}

/** What the targets of an attempt say. A target for the number of cameras is left out: that number is what is sought. */
export function outcomeOf(verdicts: readonly TargetVerdict[]): AttemptOutcome {
  const judged = verdicts.filter(({ target }) => !target.startsWith('streams'));
  const state = verdictOf(judged);
  if (state !== 'not enough frames') return state === 'met' ? 'held' : 'failed';
  const isShort = judged.some((verdict) => verdict.state !== 'met' && (verdict.gap === null || verdict.gap < 0));
  return { leansTo: isShort ? 'failed' : 'held' };
}
