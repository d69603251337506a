import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CompiledModel } from '../../../../src/base/core/model.ts';
import { batchSizesUpTo, planWarmUp, warmUp } from '../../../../src/frame/infer/inference-engine.ts';

describe('batchSizesUpTo', () => {
  it.each([
    [1, [1]],
    [2, [1, 2]],
    [8, [1, 2, 4, 8]],
    [6, [1, 2, 4, 6]],
    [64, [1, 2, 4, 8, 16, 32, 64]],
  ])('%i: powers of two, and the limit', (maxBatch, sizes) => {
    expect(batchSizesUpTo(maxBatch, 'free')).toEqual(sizes);
  });

  it('a network with a fixed batch has only that size', () => {
    expect(batchSizesUpTo(8, 1)).toEqual([1]);
    expect(batchSizesUpTo(8, 4)).toEqual([4]);
  });
});

describe('planWarmUp', () => {
  const model = { batch: 'free' } as CompiledModel;

  it('tries sizes up to the limit if none were measured, else uses the measured ones', () => {
    expect(planWarmUp({ batchSizes: null, maxBatch: 4, model })).toEqual({ batchSizes: [1, 2, 4], isFixed: false });
    expect(planWarmUp({ batchSizes: [1, 2], maxBatch: 4, model })).toEqual({ batchSizes: [1, 2], isFixed: true });
  });
});

describe('warmUp', () => {
  let nowMs = 0;

  beforeEach(() => {
    nowMs = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  });

  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** An engine whose calls take these times, by size; the first call of each size takes one second longer. */
  async function warm(callMs: Record<number, number>, isFixed = false) {
    const seen = new Set<number>();
    return warmUp({ batchSizes: [1, 2, 4, 8], isFixed }, async (size) => {
      nowMs += callMs[size]! + (seen.has(size) ? 0 : 1000);
      seen.add(size);
    });
  }

  it('ignores the first call, which allocates and compiles', async () => {
    expect(await warm({ 1: 10, 2: 11, 4: 12, 8: 13 })).toEqual({ batchSizes: [1, 2, 4, 8], warmMs: [10, 11, 12, 13] });
  });

  it('stops at the first size that gains nothing', async () => {
    expect((await warm({ 1: 10, 2: 20, 4: 1, 8: 1 })).batchSizes).toEqual([1, 2]);
  });

  it('warms up every size found by another thread of the pool, even if it gains nothing', async () => {
    expect((await warm({ 1: 10, 2: 20, 4: 40, 8: 80 }, true)).batchSizes).toEqual([1, 2, 4, 8]);
  });

  it('fails if the engine fails', async () => {
    await expect(
      warmUp({ batchSizes: [1], isFixed: false }, () => Promise.reject(new Error('no kernel'))),
    ).rejects.toThrow('no kernel');
  });
});
