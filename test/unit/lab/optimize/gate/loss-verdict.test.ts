import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import {
  type ClassFigure,
  classWarnings,
  conclude,
  fallenClasses,
  fallenSizes,
  fallText,
  figure,
  intervalText,
  judgeAll,
  judgeLoss,
  judgeLosses,
  lostClasses,
  lostText,
  lostTogether,
  rareLostClasses,
} from '../../../../../src/lab/optimize/gate/loss-verdict.ts';
import type { LossEstimate } from '../../../../../src/network/evaluate/loss-bootstrap.ts';

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

  it('is passed on just as many pictures as are needed', () => {
    const at = (units: number) => judgeLoss(estimate(0.005, 0.02), 0.02, { units, fewestUnits: 30 });
    expect(at(30)).toEqual({ verdict: 'passed', unitsThatWouldDecide: null });
    expect(at(29)).toEqual({ verdict: 'inconclusive', unitsThatWouldDecide: 30 });
  });

  it('counts on the standard error where the interval is narrower, at its level', () => {
    // 1.96 and 1.2816 standard errors of 0.02 are 3.92 and 2.5631 times the room of 0.01.
    const needed = (level?: number) =>
      judgeLoss(estimate(0.01, 0.03, 0.02), 0.02, { ...HUNDRED, ...(level && { level }) }).unitsThatWouldDecide;
    expect([needed(), needed(0.9)]).toEqual([1537, 657]);
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

  it('each have their own allowance, and the worst is named in relation to it', () => {
    const losses = (share: number) => [
      { estimate: estimate(0.01, 0.015), factor: 1 },
      { estimate: estimate(share, share + 0.02), factor: 5 },
    ];
    expect(judgeLosses(losses(0.06), 0.02, HUNDRED)).toMatchObject({ verdict: 'passed', worstLoss: 0.012 });
    expect(judgeLosses(losses(0.04), 0.02, HUNDRED)).toMatchObject({ verdict: 'passed', worstLoss: 0.01 });
    expect(judgeLosses(losses(0.11), 0.02, HUNDRED)).toMatchObject({ verdict: 'refused', worstLoss: 0.022 });
  });

  const said = (objections: string[], units: number | null, verdict: 'passed' | 'inconclusive' = 'inconclusive') =>
    conclude({
      text: 'F1 0.9',
      objections,
      judged: { verdict, unitsThatWouldDecide: units },
      pieces: 60,
      noun: 'frames',
      piecesOfUnit: 7.5,
    });

  it('are said with three objections at most, which refuse whatever the loss', () => {
    const listed = (count: number) => said(['a', 'b', 'c', 'd', 'e'].slice(0, count), null, 'passed');
    expect(listed(3)).toMatchObject({ verdict: 'refused', reason: 'F1 0.9; a; b; c', picturesThatWouldDecide: null });
    expect(listed(5)).toMatchObject({ verdict: 'refused', reason: 'F1 0.9; a; b; c; 2 more like it' });
    expect(listed(0)).toMatchObject({ verdict: 'passed', reason: 'F1 0.9' });
  });

  it('are said with the whole frames that would decide, if any number would', () => {
    expect(said([], 11)).toMatchObject({
      verdict: 'inconclusive',
      reason: 'F1 0.9; 60 frames are too few, about 83 would settle it',
      picturesThatWouldDecide: 83,
    });
    expect(said([], null)).toMatchObject({
      verdict: 'inconclusive',
      picturesThatWouldDecide: null,
      reason: 'F1 0.9; an estimate lies at the limit, so no number of frames would decide',
    });
  });

  it('are written with three decimals, and intervals with both their ends', () => {
    expect([figure(0.12345), figure(-0.0004), figure(-0.0006)]).toEqual(['0.123', '0.000', '-0.001']);
    expect(intervalText([-0.01, 0.012], 0.975)).toBe('95 % interval -0.010 to 0.012');
    expect(intervalText([0, 1], 0.9996)).toBe('99.9 % interval 0.000 to 1.000');
  });
});

describe('classes', () => {
  const dog = (more: Partial<ClassFigure>): ClassFigure => ({
    label: 'dog',
    measure: 'recall',
    ...estimate(0.3, 0.4, 0.05),
    units: 20,
    objects: 25,
    ...more,
  });

  it('fall beyond their allowance by more than chance explains', () => {
    // 0.3 - 3.3 * 0.05 = 0.135, and 0.1 is allowed to a class where 0.02 is to the whole.
    expect(fallenClasses([dog({})], 0.02).map(fallText)).toEqual([
      expect.stringMatching(/^dog falls in recall from 0\.400 to 0\.100/),
    ]);
    expect(fallenClasses([dog({ standardError: 0.07 })], 0.02)).toEqual([]);
    expect([10, 9].map((units) => fallenClasses([dog({ units })], 0.02).length)).toEqual([1, 0]);
    expect(fallenClasses([dog({})], 0.05)).toEqual([]);
  });

  it('are warned of, though chance may explain the fall', () => {
    const rare = dog({ units: 1, objects: 2, loss: 0.5, standardError: 0.5 });
    expect(classWarnings([rare], 0.02, 0.975)).toEqual([expect.stringContaining('2 objects in 1 piece of evidence')]);
    expect(classWarnings([dog({ objects: 1, units: 2 })], 0.02, 0.975)).toEqual([
      expect.stringContaining('1 object in 2 pieces of evidence'),
    ]);
    expect([0.1, 0.099].map((loss) => classWarnings([dog({ loss })], 0.02, 0.975).length)).toEqual([1, 0]);
    expect([0.2, 0.199].map((loss) => classWarnings([dog({ loss })], 0.04, 0.975).length)).toEqual([1, 0]);
  });

  it('of four found objects that vanish are for people to look at: by chance that is seldom, and proves nothing', () => {
    const cup = { label: 'cup', units: 3, objects: 6, foundByReference: 4, foundByCandidate: 0 };
    expect(rareLostClasses([cup], fewest)).toEqual([
      {
        kind: 'class',
        subject: 'cup',
        text: "cup: of 6 labelled objects in 3 pictures today's detector finds 4, this one none; too few to judge",
      },
    ]);
    for (const other of [{ foundByReference: 3 }, { foundByCandidate: 1 }, { foundByReference: 7 }])
      expect(rareLostClasses([{ ...cup, ...other }], fewest)).toEqual([]);
  });

  const fewest = { objects: 7, units: 2 };
  const found = (foundByReference: number, foundByCandidate: number, units = 20) =>
    lostClasses([{ label: 'dog', units, foundByReference, foundByCandidate }], fewest).map(lostText);

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
        label: `class ${i}`,
        units,
        foundByReference,
        foundByCandidate,
      })),
      fewest,
    );

  it('that are too rare alone are lost together if chance does not explain it', () => {
    expect(rare(Array.from({ length: 9 }, () => [3, 0]))).toEqual([
      'class 0, class 1, class 2, class 3, class 4 and 4 more are never found, and the reference finds 27 of them',
    ]);
    expect(rare(Array.from({ length: 5 }, () => [3, 0]))).toEqual([
      'class 0, class 1, class 2, class 3, class 4 are never found, and the reference finds 15 of them',
    ]);
    // A sum of 6 or more among two classes of 3 has a chance of 1 in 64, of 7 or more among 6 and 1 one of 1 in 128.
    expect([
      rare([
        [3, 0],
        [3, 0],
      ]).length,
      rare([
        [6, 0],
        [1, 0],
      ]).length,
    ]).toEqual([0, 1]);
    expect(rare([[3, 0], ...Array.from({ length: 8 }, () => [3, 2] as const)])).toEqual([]);
    const many = (each: readonly [number, number, number]) => rare(Array.from({ length: 9 }, () => each)).length;
    expect([many([10, 0, 1]), many([10, 0, 2]), many([7, 0, 20])], 'those judged alone are left out').toEqual([
      1, 0, 0,
    ]);
    expect([many([20, 2, 1]), many([20, 3, 1])], 'a tenth is lost').toEqual([1, 0]);
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

describe('sizes of objects', () => {
  const small = (loss: number, interval: readonly [number, number], units = 40) => {
    const size = {
      size: 'small',
      units,
      objects: 90,
      reference: 0.227,
      candidate: 0.227 - loss,
      loss,
      interval,
    } as const;
    const { refused, open } = fallenSizes([{ ...size, standardError: 0.01 }], 'AP', 0.02, 0.975);
    return [refused.length, open.length];
  };

  it('are refused if they certainly lose more than is allowed', () => {
    expect(small(0.077, [0.03, 0.12])).toEqual([1, 0]);
    expect(small(0.077, [0.03, 0.12], 9)).toEqual([0, 1]);
  });

  it('are for people to look at if they may lose five times as much', () => {
    expect(small(0.077, [0.01, 0.14])).toEqual([0, 1]);
    expect(small(0.03, [-0.03, 0.09])).toEqual([0, 0]);
    // An equal detector on few objects has a wide interval too.
    expect(small(0.01, [-0.1, 0.12])).toEqual([0, 0]);
  });
});
