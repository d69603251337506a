import type { ParetoPoint } from '../result.ts';

/**
 * Returns the points that no other point beats in accuracy, throughput, p99 and CPU a frame together, the fastest first.
 * An unknown figure (null) counts as neither better nor worse.
 */
export function paretoFront(points: readonly ParetoPoint[]): ParetoPoint[] {
  return points
    .filter((point) => !points.some((other) => other !== point && dominates(other, point)))
    .sort((a, b) => b.fps - a.fps);
}

function dominates(a: ParetoPoint, b: ParetoPoint): boolean {
  const signs = [sign(a.ap, b.ap), sign(a.fps, b.fps), sign(b.p99Ms, a.p99Ms), sign(b.cpuMsPerFrame, a.cpuMsPerFrame)];
  return signs.every((each) => each >= 0) && signs.some((each) => each > 0);
}

/** 1 if the first is larger, 0 if equal or unknown, -1 if smaller. */
function sign(a: number | null, b: number | null): number {
  return a === null || b === null ? 0 : Math.sign(a - b);
}
