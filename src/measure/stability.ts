import type { WindowFigures } from './trial-result.ts';

/** Windows that must agree. */
export const STABLE_WINDOWS = 3;
/** Largest over smallest, as in Triton's perf_analyzer. */
const MAX_SPREAD = 1.1;
/** Latencies that differ by less than this are equal: the system's timers are not more exact. */
const LATENCY_SLACK_MS = 0.5;

/** True if rate and median latency of the last three windows are within 10 % of each other. */
export function isStable(windows: readonly Pick<WindowFigures, 'fps' | 'latencyMs'>[]): boolean {
  const last = windows.slice(-STABLE_WINDOWS);
  if (last.length < STABLE_WINDOWS || last.some(({ latencyMs }) => latencyMs.count === 0)) return false;
  const rates = last.map(({ fps }) => fps);
  const medians = last.map(({ latencyMs }) => latencyMs.p50);
  return areClose(rates, 0) && areClose(medians, LATENCY_SLACK_MS);
}

function areClose(values: readonly number[], slack: number): boolean {
  const smallest = Math.min(...values);
  const largest = Math.max(...values);
  return largest <= smallest * MAX_SPREAD || largest - smallest <= slack;
}
