import {
  type AttemptOutcome,
  type CapacitySearchOptions,
  outcomeOf,
  searchCapacity,
} from '../measure/search-capacity.ts';
import type { BreakPoint, Degradation, LoadStep } from './load-result.ts';

/** Runs and measures a number of cameras; added and removed as needed. @param isProof - as that of an `Attempt`. */
export type MeasureCameras = (cameras: number, name: string, isProof: boolean) => Promise<LoadStep>;

export interface StressOptions extends Pick<CapacitySearchOptions, 'start' | 'most' | 'isOver' | 'signal'> {
  readonly note: (text: string) => void;
}

export interface StressSearch {
  readonly steps: readonly LoadStep[];
  readonly breakPoint: BreakPoint;
  /** The step that shows best that the break point holds; with 0 cameras the last one of the fewest. */
  readonly proof: LoadStep;
  /** Cameras with which the degradation is looked at. */
  readonly overload: number;
}

const GROWTH = 1.5;
/** Jain's index from which shares count as fair. Among many streams it hardly sees one that starves. */
const FAIR = 0.95;
const LEAST_SHARE = 0.5;
/** Results may be this much older than `maxAgeMs`, which is checked before the inference. */
const AGE_SLACK_MS = 250;

/**
 * Finds the break point; see `searchCapacity`. A number of cameras that is not proven to hold, because the steps are too short for
 * that, still counts as held while it misses no target, and the result says so.
 */
export async function findBreakPoint(measure: MeasureCameras, options: StressOptions): Promise<StressSearch> {
  const { start, most, signal, note, isOver = () => false } = options;
  const steps: LoadStep[] = [];
  const attempt = async (cameras: number, isProof: boolean): Promise<AttemptOutcome> => {
    const before = steps.filter((step) => step.cameras === cameras).length;
    const step = await measure(cameras, `${cameras} cameras${before === 0 ? '' : `, run ${before + 1}`}`, isProof);
    steps.push(step);
    note(stepText(step));
    return outcomeOf(step.targets);
  };
  const search = { start: Math.min(start, most), most, growth: GROWTH, undecidedIs: 'open', signal, isOver } as const;
  const { cameras, brokenAt, isProven } = await searchCapacity(attempt, search);
  const stepsWith = (count: number): LoadStep[] => steps.filter((step) => step.cameras === count);
  const broken = brokenAt === null ? null : worstOf(stepsWith(brokenAt));
  return {
    steps,
    breakPoint: breakPointOf(cameras, isProven, broken),
    proof: cameras === 0 ? stepsWith(brokenAt ?? 1).at(-1)! : proofOf(stepsWith(cameras), isProven),
    overload: Math.ceil((brokenAt ?? cameras) * GROWTH),
  };
}

/** The last step that missed a target; where none surely did, the last one. */
function worstOf(steps: readonly LoadStep[]): LoadStep {
  return steps.findLast(({ targets }) => outcomeOf(targets) === 'failed') ?? steps.at(-1)!;
}

/** Where the number is proven, a step that proves it; else the longest one that misses nothing. */
function proofOf(steps: readonly LoadStep[], isProven: boolean): LoadStep {
  if (isProven) return steps.findLast(({ targets }) => outcomeOf(targets) === 'held')!;
  const open = steps.filter(({ targets }) => outcomeOf(targets) !== 'failed');
  return open.reduce((longest, step) => (step.seconds >= longest.seconds ? step : longest));
}

function breakPointOf(cameras: number, isProven: boolean, broken: LoadStep | null): BreakPoint {
  const first = broken?.constraints[0] ?? null;
  const target =
    broken?.targets.find(({ state }) => state === 'missed') ??
    broken?.targets.find(({ state, gap }) => state !== 'met' && (gap === null || gap < 0));
  return {
    cameras,
    isProven,
    brokenAt: broken?.cameras ?? null,
    firstToGive: broken === null ? null : (first?.part ?? 'unknown'),
    target: target?.target ?? null,
    explanation: first?.explanation ?? null,
  };
}

/**
 * Describes how a pipeline fails under more load than it can bear.
 *
 * @param maxAgeMs - of its streams.
 */
export function describeDegradation(step: LoadStep, maxAgeMs: number): Degradation {
  const { cameras, oldestMs, fairness, dropped, conservationGap, shares } = step;
  const mean = shares.reduce((sum, { share }) => sum + share, 0) / Math.max(1, shares.length);
  const leastShare = mean <= 0 ? 1 : Math.min(1, ...shares.map(({ share }) => share / mean));
  return {
    cameras,
    areAgesBounded: oldestMs <= maxAgeMs + AGE_SLACK_MS,
    oldestMs,
    maxAgeMs,
    isFair: fairness >= FAIR && leastShare >= LEAST_SHARE,
    fairness,
    leastShare,
    areDropsNamed: conservationGap === 0 && Object.keys(dropped).every((reason) => reason !== ''),
    dropped,
  };
}

/** A short span after the load fell. */
export interface RecoveryWindow {
  /** Seconds since the load fell, at its end. */
  readonly endS: number;
  /** Frames that each stream published. */
  readonly published: readonly number[];
  readonly dropped: number;
  /** In each stream nine of ten frames took at most this long; 0 if it was not measured. */
  readonly p90Ms: number;
}

export interface RecoveryLimits {
  readonly p90Ms: number;
  /** Windows in a row that must be within the limits until the end. */
  readonly windows: number;
}

/**
 * Returns how long after the fall of the load a pipeline was within its limits and stayed there: the end of the last window that
 * was not; 0 if all were. Null if the last `windows` windows are not all within the limits, or a stream published nothing in them.
 */
export function recoveryTime(windows: readonly RecoveryWindow[], limits: RecoveryLimits): number | null {
  const isGood = ({ published, dropped, p90Ms }: RecoveryWindow): boolean =>
    published.some((frames) => frames > 0) && dropped === 0 && p90Ms <= limits.p90Ms;
  const lastBad = windows.findLastIndex((window) => !isGood(window));
  if (windows.length - 1 - lastBad < limits.windows) return null;
  const last = windows.slice(-limits.windows);
  const isSilent = last[0]!.published.some((_, stream) => last.every(({ published }) => published[stream] === 0));
  if (isSilent) return null;
  return lastBad < 0 ? 0 : windows[lastBad]!.endS;
}

export function stepText({ cameras, fps, offeredFps, latencyMs, dropRatio, targets, verdict }: LoadStep): string {
  const missed = targets.filter(({ state }) => state === 'missed').map(({ target, reason }) => `${target} (${reason})`);
  const figures = `${fps.toFixed(1)} of ${offeredFps.toFixed(1)} frames/s, p99 ${latencyMs.p99.toFixed(1)} ms, ${(dropRatio * 100).toFixed(1)} % dropped`;
  return `${cameras} cameras: ${figures}; ${missed.length > 0 ? `missed ${missed.join(', ')}` : verdict === 'met' ? 'all targets met' : 'no target missed'}`;
}
