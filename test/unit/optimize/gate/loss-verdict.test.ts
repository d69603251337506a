import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/core/seeded-random.ts';
import type { LossEstimate } from '../../../../src/evaluate/loss-bootstrap.ts';
import {
  type ClassFigure,
  classWarnings,
  fallenClasses,
  judgeAll,
  judgeLoss,
  lostClasses,
  lostTogether,
} from '../../../../src/optimize/gate/loss-verdict.ts';

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

describe('verdicts on several losses', () => {
  it('must all pass, and wait for the one that needs most pictures', () => {
    const passed = { verdict: 'passed', unitsThatWouldDecide: null } as const;
    const refused = { verdict: 'refused', unitsThatWouldDecide: null } as const;
    const open = (units: number | null) => ({ verdict: 'inconclusive', unitsThatWouldDecide: units }) as const;
    expect(judgeAll([passed, passed])).toEqual(passed);
    expect(judgeAll([passed, open(400), open(200)])).toEqual(open(400));
    expect(judgeAll([open(null), open(200)])).toEqual(open(null));
    expect(judgeAll([open(200), refused])).toEqual(refused);
  });
});

describe('classes', () => {
  const dog = (more: Partial<ClassFigure>): ClassFigure => ({
    ...{ label: 'dog', measure: 'recall', ...estimate(0.3, 0.4, 0.05), units: 20, objects: 25 },
    ...more,
  });

  it('fall beyond their allowance by more than chance explains', () => {
    // 0.3 - 3.3 * 0.05 = 0.135, and 0.1 is allowed to a class where 0.02 is to the whole.
    expect(fallenClasses([dog({})], 0.02)).toEqual([
      expect.stringMatching(/^dog falls in recall from 0\.400 to 0\.100/),
    ]);
    expect(fallenClasses([dog({ standardError: 0.07 })], 0.02)).toEqual([]);
    expect(fallenClasses([dog({ units: 5 })], 0.02)).toEqual([]);
    expect(fallenClasses([dog({})], 0.05)).toEqual([]);
  });

  it('are warned of, though chance may explain the fall', () => {
    const rare = dog({ units: 1, objects: 2, loss: 0.5, standardError: 0.5 });
    expect(classWarnings([rare], 0.02, 0.975)).toEqual([expect.stringContaining('2 objects in 1 piece of evidence')]);
  });

  const fewest = { objects: 7, units: 2 };
  const found = (foundByReference: number, foundByCandidate: number, units = 20) =>
    lostClasses([{ label: 'dog', units, foundByReference, foundByCandidate }], fewest);

  it('are lost if a tenth or less of what the reference finds is found: stray boxes save no class', () => {
    expect(found(20, 0)).toEqual([expect.stringMatching(/^dog is never found/)]);
    expect(found(20, 2)).toEqual([expect.stringMatching(/^dog is lost: 2 found, and the reference finds 20/)]);
    expect(found(20, 3)).toEqual([]);
  });

  it('are not judged alone if they are too rare', () => {
    expect(found(7, 0, 2)).toHaveLength(1);
    expect(found(6, 0)).toEqual([]);
    expect(found(7, 0, 1)).toEqual([]);
  });

  const rare = (found: readonly (readonly [reference: number, candidate: number, units?: number])[]) =>
    lostTogether(
      found.map(([foundByReference, foundByCandidate, units = 20], i) => ({
        ...{ label: `class ${i}`, units, foundByReference, foundByCandidate },
      })),
      fewest,
    );

  it('that are too rare alone are lost together if chance does not explain it', () => {
    expect(rare(Array.from({ length: 9 }, () => [3, 0]))).toEqual([
      'class 0, class 1, class 2, class 3, class 4 and 4 more are never found, and the reference finds 27 of them',
    ]);
    expect(rare([[3, 0], ...Array.from({ length: 8 }, () => [3, 2] as const)])).toEqual([]);
    expect(rare([[6, 0], [2, 0], ...Array.from({ length: 20 }, () => [3, 3] as const)])).toEqual([]);
    // Many objects of one picture are one piece of evidence.
    expect(rare([[12, 0, 1]])).toEqual([]);
    expect(rare([])).toEqual([]);
  });

  it('are not lost together by two detectors that find each object with the same chance', () => {
    const random = seededRandom(7);
    const finds = (objects: number, chance: number): number =>
      Array.from({ length: objects }, random).filter((each) => each < chance).length;
    let refused = 0;
    for (let run = 0; run < 2000; run++) {
      const classes = Array.from({ length: 40 }, () => {
        const [objects, chance] = [1 + Math.floor(9 * random()), 0.2 + 0.6 * random()];
        return [finds(objects, chance), finds(objects, chance)] as const;
      });
      if (rare(classes).length > 0) refused += 1;
    }
    expect(refused / 2000).toBeLessThan(0.01);
  });
});
