import { describe, expect, it } from 'vitest';
import type { Configuration, ParetoPoint } from '../../../../../src/lab/optimize/result.ts';
import { paretoFront } from '../../../../../src/lab/optimize/search/pareto.ts';

function point(ap: number | null, fps: number, p99Ms: number, cpuMsPerFrame: number | null): ParetoPoint {
  return { configuration: {} as Configuration, ap, fps, p99Ms, cpuMsPerFrame, measurements: [] };
}

describe('the Pareto front', () => {
  it('has what nothing beats in every figure, the fastest first', () => {
    const accurate = point(0.4, 50, 20, 10);
    const fast = point(0.3, 100, 20, 8);
    const dominated = point(0.3, 90, 21, 9);
    expect(paretoFront([accurate, dominated, fast])).toEqual([fast, accurate]);
  });

  it('keeps a slow configuration with the shortest p99 or the least CPU', () => {
    const fast = point(0.4, 100, 50, 10);
    const quick = point(0.4, 50, 10, 10);
    const cheap = point(0.4, 40, 60, 5);
    expect(paretoFront([fast, quick, cheap])).toHaveLength(3);
  });

  it('keeps both of two equal points, and compares without labels', () => {
    expect(paretoFront([point(null, 10, 10, null), point(null, 10, 10, null)])).toHaveLength(2);
    expect(paretoFront([point(null, 10, 10, null), point(null, 20, 10, null)])).toHaveLength(1);
  });
});
