import { describe, expect, it } from 'vitest';
import { unpackDetections } from '../../../../src/base/core/detection.ts';
import { softLoss } from '../../../../src/network/evaluate/agreement.ts';

/** x, y, width, height, score, class. */
const rows = (...all: readonly (readonly [number, number, number, number, number, number])[]) =>
  unpackDetections(Float32Array.from(all.flat()), []);

const CAR = [0, 0, 10, 10, 0.8, 2] as const;

describe('softLoss', () => {
  it('is 0 for the same detections in another order', () => {
    const other = [50, 50, 4, 4, 0.5, 1] as const;
    expect(softLoss(rows(CAR, other), rows(other, CAR))).toBe(0);
  });

  it('is 1 where nothing is found again, and 0 where there is nothing', () => {
    expect(softLoss(rows(CAR), rows())).toBe(1);
    expect(softLoss(rows(), rows(CAR))).toBe(1);
    expect(softLoss(rows(CAR), rows([0, 0, 10, 10, 0.8, 3]))).toBeCloseTo(1, 6);
    expect(softLoss(rows(), rows())).toBe(0);
  });

  it('weighs overlap and score: half the score and half the overlap leave a quarter', () => {
    // Boxes of 10x10 and 10x5 share half of the larger: IoU 0.5.
    const loss = softLoss(rows(CAR), rows([0, 0, 10, 5, 0.4, 2]));
    expect(loss).toBeCloseTo(1 - 0.5 * 0.5, 6);
  });

  it('leaves out detections with a score of 0, which have no weight', () => {
    const nothing = [5, 5, 10, 10, 0, 2] as const;
    expect(softLoss(rows(CAR, nothing), rows(CAR, nothing))).toBe(0);
    expect(softLoss(rows(CAR, nothing), rows())).toBe(1);
  });
});
