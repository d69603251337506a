import { describe, expect, it } from 'vitest';
import type { LossEstimate } from '../../../../src/evaluate/loss-bootstrap.ts';
import type { ClassLoss } from '../../../../src/evaluate/precision-loss.ts';
import { judgeLoss, lostClasses } from '../../../../src/optimize/gate/loss-verdict.ts';

function estimate(loss: number, high: number, standardError = (high - loss) / 1.96): LossEstimate {
  return { reference: 0.4, candidate: 0.4 - loss, loss, interval: [2 * loss - high, high], standardError };
}

const HUNDRED = { units: 100, fewestUnits: 30 };

describe('the verdict on a loss', () => {
  it('is passed if the upper end of the interval is within the allowance', () => {
    expect(judgeLoss(estimate(0.005, 0.02), 0.02, HUNDRED)).toEqual({ verdict: 'passed', unitsThatWouldDecide: null });
  });

  it('is refused if the estimate is beyond it, even if the interval reaches below', () => {
    expect(judgeLoss(estimate(0.021, 0.06), 0.02, HUNDRED).verdict).toBe('refused');
  });

  it('is inconclusive in between, with the number that halves the width where half is needed: four times as many', () => {
    const verdict = judgeLoss(estimate(0.01, 0.03), 0.02, HUNDRED);
    expect(verdict).toEqual({ verdict: 'inconclusive', unitsThatWouldDecide: 400 });
  });

  it('is inconclusive on too few pictures, however well they agree: they cannot show what is not in them', () => {
    const verdict = judgeLoss(estimate(0, 0), 0.02, { units: 3, fewestUnits: 30 });
    expect(verdict).toEqual({ verdict: 'inconclusive', unitsThatWouldDecide: 30 });
  });

  it('names no number if the estimate lies at the limit', () => {
    expect(judgeLoss(estimate(0.02, 0.04), 0.02, HUNDRED).unitsThatWouldDecide).toBeNull();
  });

  it('is never passed without a figure', () => {
    const none = { reference: NaN, candidate: NaN, loss: NaN, interval: [NaN, NaN], standardError: NaN } as const;
    expect(judgeLoss(none, 0.02, HUNDRED)).toEqual({ verdict: 'inconclusive', unitsThatWouldDecide: null });
  });
});

describe('lost classes', () => {
  const dog = (more: Partial<ClassLoss>): ClassLoss => ({
    ...{ label: 'dog', ...estimate(0.3, 0.4, 0.05) },
    ...{ units: 20, objects: 25, foundByReference: 20, candidateDetections: 30 },
    ...more,
  });

  it('are those that fall beyond their allowance by more than chance explains', () => {
    // 0.3 - 3.3 * 0.05 = 0.135, and 0.1 is allowed to a class where 0.02 is to the whole.
    expect(lostClasses([dog({})], 0.02, 2)).toEqual([expect.stringMatching(/^dog falls from 0\.400 to 0\.100/)]);
    expect(lostClasses([dog({ standardError: 0.07 })], 0.02, 2)).toEqual([]);
    expect(lostClasses([dog({ units: 5 })], 0.02, 2)).toEqual([]);
    expect(lostClasses([dog({})], 0.05, 2)).toEqual([]);
  });

  it('are those that are never reported, even rare ones, if the reference finds three in two pictures', () => {
    const rare = { units: 2, objects: 3, foundByReference: 3, candidateDetections: 0, loss: 0.4 };
    expect(lostClasses([dog(rare)], 0.02, 2)).toEqual([expect.stringMatching(/^dog is never reported/)]);
    expect(lostClasses([dog({ ...rare, foundByReference: 2 })], 0.02, 2)).toEqual([]);
    expect(lostClasses([dog({ ...rare, candidateDetections: 1 })], 0.02, 2)).toEqual([]);
  });
});
