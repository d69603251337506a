import type { BreakPoint, Degradation, LoadStep } from './load-result.ts';

/** Runs and measures a number of cameras; added and removed as needed. */
export type MeasureCameras = (cameras: number, name: string) => Promise<LoadStep>;

export interface StressOptions {
  /** Cameras of the first step. */
  readonly start: number;
  /** Most cameras. */
  readonly most: number;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

export interface StressSearch {
  readonly steps: readonly LoadStep[];
  readonly breakPoint: BreakPoint;
  /** Cameras with which the degradation is looked at. */
  readonly overload: number;
}

const GROWTH = 1.5;
/** Jain's index from which shares count as fair. */
const FAIR = 0.95;
/** Results may be this much older than `maxAgeMs`, which is checked before the inference. */
const AGE_SLACK_MS = 250;

/**
 * Finds the break point: up by half again until a target is missed, then by bisection. A number of cameras is too many if
 * it misses a target twice: a disturbance passes, a load does not. A step with too few frames for a percentile counts as
 * held; the break point is measured longer afterwards.
 */
export async function findBreakPoint(measure: MeasureCameras, options: StressOptions): Promise<StressSearch> {
  const { start, most, signal, note } = options;
  const steps: LoadStep[] = [];
  let good = 0;
  let broken: LoadStep | null = null;
  let next = Math.min(start, most);
  for (;;) {
    signal.throwIfAborted();
    let step = await measure(next, `${next} cameras`);
    steps.push(step);
    note(stepText(step));
    if (step.verdict === 'missed') {
      step = await measure(next, `${next} cameras, again`);
      steps.push(step);
      note(`again, ${stepText(step)}`);
    }
    if (step.verdict === 'missed') broken = step;
    else good = next;
    if (broken === null && good === most) break;
    if (broken !== null && broken.cameras - good <= 1) break;
    next =
      broken === null
        ? Math.min(most, Math.max(good + 1, Math.floor(good * GROWTH)))
        : Math.floor((good + broken.cameras) / 2);
  }
  return { steps, breakPoint: breakPointOf(good, broken), overload: Math.ceil((broken?.cameras ?? good) * GROWTH) };
}

function breakPointOf(cameras: number, broken: LoadStep | null): BreakPoint {
  const first = broken?.constraints[0] ?? null;
  return {
    cameras,
    brokenAt: broken?.cameras ?? null,
    firstToGive: broken === null ? null : (first?.part ?? 'unknown'),
    target: broken?.targets.find(({ state }) => state === 'missed')?.target ?? null,
    explanation: first?.explanation ?? null,
  };
}

/**
 * Describes how a pipeline fails under more load than it can bear.
 *
 * @param maxAgeMs - of its streams.
 */
export function describeDegradation(step: LoadStep, maxAgeMs: number): Degradation {
  const { cameras, oldestMs, fairness, dropped, conservationGap } = step;
  return {
    cameras,
    areAgesBounded: oldestMs <= maxAgeMs + AGE_SLACK_MS,
    oldestMs,
    maxAgeMs,
    isFair: fairness >= FAIR,
    fairness,
    areDropsNamed: conservationGap === 0 && Object.keys(dropped).every((reason) => reason !== ''),
    dropped,
  };
}

/** A short span after the load fell. */
export interface RecoveryWindow {
  /** Seconds since the load fell, at its end. */
  readonly endS: number;
  readonly published: number;
  readonly dropped: number;
  /** Nine of ten frames took at most this long; 0 if it was not measured. */
  readonly p90Ms: number;
}

export interface RecoveryLimits {
  readonly p90Ms: number;
  /** Windows in a row that must be within the limits until the end. */
  readonly windows: number;
}

/**
 * Returns how long after the fall of the load a pipeline was within its limits for good: the end of the last window that
 * was not; 0 if all were. Null if the last `windows` windows are not all within the limits.
 */
export function recoveryTime(windows: readonly RecoveryWindow[], limits: RecoveryLimits): number | null {
  const isGood = ({ published, dropped, p90Ms }: RecoveryWindow): boolean =>
    published > 0 && dropped === 0 && p90Ms <= limits.p90Ms;
  const lastBad = windows.findLastIndex((window) => !isGood(window));
  if (windows.length - 1 - lastBad < limits.windows) return null;
  return lastBad < 0 ? 0 : windows[lastBad]!.endS;
}

export function stepText({ cameras, fps, offeredFps, latencyMs, dropRatio, targets, verdict }: LoadStep): string {
  const missed = targets.filter(({ state }) => state === 'missed').map(({ target, reason }) => `${target} (${reason})`);
  const figures = `${fps.toFixed(1)} of ${offeredFps.toFixed(1)} frames/s, p99 ${latencyMs.p99.toFixed(1)} ms, ${(dropRatio * 100).toFixed(1)} % dropped`;
  return `${cameras} cameras: ${figures}; ${missed.length > 0 ? `missed ${missed.join(', ')}` : verdict === 'met' ? 'all targets met' : 'no target missed'}`;
}
