import { describe, expect, it } from 'vitest';
import { BatchSizer } from '../../../../src/frame/batch/batch-sizer.ts';

/** Runs batches as the scheduler does, with `waiting` frames at all times, until the size is settled. */
function runTrial(sizer: BatchSizer, callMs: (size: number) => number, waiting = 64): number {
  for (let batches = 1; batches < 1000; batches++) {
    const size = sizer.padTo(Math.min(waiting, sizer.nextSize(waiting)));
    if (sizer.observe(size, callMs(size))) return batches;
  }
  throw new Error('the trial never ended');
}

const SIZES = [1, 2, 4, 8];

describe('BatchSizer', () => {
  it('starts from the smallest size that is within 10 % of the best warm-up time per frame', () => {
    expect(new BatchSizer(SIZES, [10, 20, 40, 80], 8).settledSize).toBe(1);
    expect(new BatchSizer(SIZES, [10, 11, 12, 13], 8).settledSize).toBe(8);
    expect(new BatchSizer(SIZES, [10, 11, 21, 41], 8).settledSize).toBe(2);
  });

  it('settles on 1 if a batch costs as much as its frames one by one (a CPU)', () => {
    const sizer = new BatchSizer(SIZES, [10, 18, 34, 66], 8);
    runTrial(sizer, (size) => 10 * size);
    expect(sizer.settledSize).toBe(1);
    expect(sizer.reason).toContain('(1: 10.00 ms, 2: 10.00 ms, 4: 10.00 ms, 8: 10.00 ms; measured under load)');
  });

  it('settles on the largest if a batch costs little more than a frame (a GPU), whatever the warm-up measured', () => {
    const sizer = new BatchSizer(SIZES, [5, 20, 60, 130], 8);
    runTrial(sizer, (size) => 5 + 0.2 * size, 8);
    expect(sizer.settledSize).toBe(8);
  });

  it('settles on the middle size if larger ones gain less than 10 %', () => {
    const perFrame: Record<number, number> = { 1: 10, 2: 6, 4: 4.1, 8: 4 };
    const sizer = new BatchSizer(SIZES, [10, 12, 16.4, 32], 8);
    runTrial(sizer, (size) => perFrame[size]! * size);
    expect(sizer.settledSize).toBe(4);
  });

  it('is not misled by a few slow calls', () => {
    const sizer = new BatchSizer([1, 2], [10, 11], 2);
    let calls = 0;
    runTrial(sizer, (size) => (calls++ % 4 === 1 ? 500 : size === 1 ? 10 : 11));
    expect(sizer.settledSize).toBe(2);
  });

  it('keeps the warm-up choice while too few frames wait to try every size, and tries them once enough wait', () => {
    const sizer = new BatchSizer(SIZES, [10, 11, 12, 13], 8);
    for (let i = 0; i < 500; i++) expect(sizer.observe(sizer.nextSize(1) > 1 ? 8 : 1, 10)).toBe(false);
    expect(sizer.settledSize).toBe(8);
    expect(sizer.reason).toContain('not yet measured under load');
    runTrial(sizer, (size) => 10 * size);
    expect(sizer.reason).toContain('measured under load');
  });

  it('never tries a size that the waiting frames do not fill', () => {
    const sizer = new BatchSizer(SIZES, [10, 20, 40, 80], 8);
    for (let i = 0; i < 100; i++) {
      expect(sizer.nextSize(3)).toBeLessThanOrEqual(3);
      sizer.observe(sizer.nextSize(3), 10);
    }
    expect(sizer.nextSize(3), 'the choice so far, once 1 and 2 are measured').toBe(1);
  });

  it('reports the end of the trial once; one size needs no trial', () => {
    const sizer = new BatchSizer([1, 2], [10, 20], 2);
    runTrial(sizer, (size) => size);
    expect(sizer.observe(1, 1)).toBe(false);
    const single = new BatchSizer([1], [10], 8);
    expect([single.isSettled, single.observe(1, 10)]).toEqual([true, false]);
    expect(single.reason).toContain('(1: 10.00 ms; from warm-up)');
  });

  it('says how long one frame alone takes: a call of the smallest size', () => {
    expect(new BatchSizer([1, 2], [10, 11], 2).singleCallMs).toBe(10);
    expect(new BatchSizer([4, 8], [8, 9], 8).singleCallMs).toBe(8);
  });

  it('pads to the next warmed-up size and refuses more than the largest', () => {
    const sizer = new BatchSizer(SIZES, [1, 1, 1, 1], 8);
    expect([1, 2, 3, 4, 5, 8].map((frames) => sizer.padTo(frames))).toEqual([1, 2, 4, 4, 8, 8]);
    expect(() => sizer.padTo(9)).toThrow(RangeError);
  });

  it('uses no size above maxBatch, and needs at least one', () => {
    const sizer = new BatchSizer(SIZES, [10, 11, 12, 13], 4);
    expect(sizer.maxBatch).toBe(4);
    runTrial(sizer, () => 1);
    expect(sizer.settledSize).toBe(4);
    expect(() => new BatchSizer([8], [1], 4)).toThrow(RangeError);
  });
});

describe('the size of the calls of a batch', () => {
  const settled = (callMs: (size: number) => number): BatchSizer => {
    const sizer = new BatchSizer(SIZES, [1, 1, 1, 1], 8);
    runTrial(sizer, callMs);
    return sizer;
  };

  it('is the smallest that holds all inputs', () => {
    const gpu = settled((size) => 5 + 0.2 * size);
    expect([1, 2, 3, 5, 8].map((inputs) => gpu.callSize(inputs, 8, false))).toEqual([1, 2, 4, 8, 8]);
  });

  it('is the one that takes the least time where a frame has more inputs than a batch', () => {
    // 9 inputs: two calls of 8 take 13.2 ms, three of 4 take 17.4, nine of 1 take 46.8.
    expect(settled((size) => 5 + 0.2 * size).callSize(9, 8, false)).toBe(8);
    // With calls of 1 ms for each input and 0.5 ms for each call: 2 x 8.5, 3 x 4.5, 5 x 2.5 or 9 x 1.5 ms.
    expect(settled((size) => 0.5 + size).callSize(9, 8, false)).toBe(2);
    // One by one and in pairs, 6 inputs take as long: pairs are fewer calls.
    expect(settled((size) => size).callSize(6, 4, false)).toBe(2);
  });

  it('is one call for what one call holds, and never larger than the batch was closed at', () => {
    expect(settled((size) => (size === 4 ? 40 : size)).callSize(3, 8, false)).toBe(4);
    const perFrame: Record<number, number> = { 1: 10, 2: 6, 4: 4.1, 8: 4 };
    expect(settled((size) => perFrame[size]! * size).callSize(7, 4, false)).toBe(4);
  });

  it('is the closing size in the trial, so that a size which no number of frames fills is measured, too', () => {
    const sizer = new BatchSizer(SIZES, [10, 11, 12, 13], 8);
    expect(sizer.callSize(3, 8, true)).toBe(8);
    expect(sizer.callSize(3, 8, false), 'no more frames wait').toBe(4);
    expect(new BatchSizer(SIZES, [10, 30, 60, 120], 8).callSize(5, 2, false), 'however slow so far').toBe(2);
    let rounds = 0;
    for (; !sizer.isSettled && rounds < 1000; rounds++) {
      // Frames of three inputs, of which ten wait at all times: a batch of 8 holds two.
      const size = sizer.nextSize(30);
      const inputs = Math.max(3, Math.floor(size / 3) * 3);
      const callSize = sizer.callSize(inputs, size, true);
      sizer.observe(callSize, 5 + 0.2 * callSize);
    }
    expect(rounds, '16 batches of each size').toBe(64);
  });
});
