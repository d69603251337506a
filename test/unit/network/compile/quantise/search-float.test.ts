import { describe, expect, it } from 'vitest';
import { searchFloatCount } from '../../../../../src/network/compile/quantise/search-float.ts';

/** A network whose loss falls by a step at each of the given counts of float layers. */
function searched(count: number, needed: number): Promise<{ floatCount: number; asked: number[] }> {
  const asked: number[] = [];
  return searchFloatCount(count, 0.02, async (floatCount) => {
    asked.push(floatCount);
    return floatCount >= needed ? 0.01 : 0.3;
  }).then(({ floatCount }) => ({ floatCount, asked }));
}

describe('searchFloatCount', () => {
  it('asks once where all layers may be INT8', async () => {
    expect(await searched(100, 0)).toEqual({ floatCount: 0, asked: [0] });
  });

  it.each([1, 2, 37, 63, 99])('finds that exactly the %i most sensitive of 100 must stay in float', async (needed) => {
    const { floatCount, asked } = await searched(100, needed);
    expect(floatCount).toBe(needed);
    // 1 + ceil(log2(100))
    expect(asked.length).toBeLessThanOrEqual(8);
  });

  it('gives all where none may be INT8, and never measures the float network', async () => {
    const { floatCount, asked } = await searched(100, 100);
    expect(floatCount).toBe(100);
    expect(asked).not.toContain(100);
  });

  it('never returns a count that was measured to lose too much, however noisy the measure', async () => {
    const noisy = [0.3, 0.01, 0.3, 0.01, 0.3, 0.01, 0.3, 0.01];
    const { floatCount, trials } = await searchFloatCount(100, 0.02, async () => noisy.shift()!);
    expect(trials.find((trial) => trial.floatCount === floatCount)?.loss).toBe(0.01);
  });

  it('has nothing to do for a network without layers', async () => {
    expect(await searched(0, 0)).toEqual({ floatCount: 0, asked: [] });
  });
});
