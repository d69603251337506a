import { describe, expect, it } from 'vitest';
import { agreement, type BoxRow, median } from '../../../bench/peers/agreement.ts';

const PERSON: BoxRow = [10, 10, 40, 80, 0.9, 0];

describe('agreement of two detectors', () => {
  it('is 1 for the same boxes in any order', () => {
    const car: BoxRow = [200, 50, 60, 30, 0.6, 2];
    const result = agreement([[PERSON, car]], [[car, PERSON]]);
    expect(result).toMatchObject({ matched: 2, ratio: 1, medianIou: 1, maxScoreDifference: 0 });
  });

  it('does not match boxes of different classes or of an IoU below one half', () => {
    const bicycle: BoxRow = [10, 10, 40, 80, 0.9, 1];
    // Moved by 20 of 40 pixels: the boxes share half of their area, so the IoU is 1/3.
    const moved: BoxRow = [30, 10, 40, 80, 0.9, 0];
    expect(agreement([[PERSON]], [[bicycle]]).matched).toBe(0);
    expect(agreement([[PERSON]], [[moved]]).matched).toBe(0);
  });

  it('uses no box twice: the better of two matches, the other counts as missing', () => {
    const near: BoxRow = [12, 10, 40, 80, 0.8, 0];
    const result = agreement([[PERSON, near]], [[PERSON]]);
    expect(result.matched).toBe(1);
    expect(result.ratio).toBeCloseTo(2 / 3);
  });

  it('distinguishes a box just below the threshold from a missing box', () => {
    const strong: BoxRow = [10, 10, 40, 80, 0.41, 0];
    const weak: BoxRow = [10, 10, 40, 80, 0.39, 0];
    expect(agreement([[strong]], [[weak]])).toMatchObject({ ratio: 0, ratioOfWeakMatches: 1 });
    expect(agreement([[strong]], [[]])).toMatchObject({ ratio: 0, ratioOfWeakMatches: 0 });
  });
});

describe('median', () => {
  it('is the middle value, or the mean of the two middle ones', () => {
    expect(median([10, 1, 3])).toBe(3);
    expect(median([4, 1, 10, 2])).toBe(3);
  });
});
