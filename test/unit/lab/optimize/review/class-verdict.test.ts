import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import {
  type Answer,
  askedObjects,
  type ClassVerdict,
  type Disputed,
  judgeClass,
} from '../../../../../src/lab/optimize/review/class-verdict.ts';

const ALLOWED = 0.1;

interface Case {
  readonly both: number;
  /** Objects that one of both reports, and how many of them are there. */
  readonly today: readonly [objects: number, there: number];
  readonly fresh: readonly [objects: number, there: number];
}

/** A class with known truth. Objects are seen in as many frames as happens. */
function made({ both, today, fresh }: Case, random: () => number) {
  const truth = new Map<string, boolean>();
  const side = (by: Disputed['by'], [count, there]: readonly [number, number]): Disputed[] =>
    Array.from({ length: count }, (_, i) => {
      const id = `${Math.floor(random() * 1e9)} ${by} ${i}`;
      truth.set(id, i < there);
      return { id, by, frames: 1 + Math.floor(-Math.log(1 - random()) * 6) };
    });
  return { counts: { label: 'bag', both, objects: [...side('today', today), ...side('new', fresh)] }, truth };
}

/** Asks a person, who is wrong as often as stated, until nothing is left to ask. */
function asked(
  all: ReturnType<typeof made>,
  wrongRatio: number,
  random: () => number,
): ClassVerdict & { asks: number } {
  const answers = new Map<string, Answer[]>();
  for (let asks = 0; ; asks += 1) {
    const verdict = judgeClass(all.counts, answers, ALLOWED);
    if (verdict.next === null) return { ...verdict, asks };
    const isThere = all.truth.get(verdict.next)! !== random() < wrongRatio;
    answers.set(verdict.next, [...(answers.get(verdict.next) ?? []), isThere ? 'yes' : 'no']);
  }
}

/** What all answers, each given twice, say. */
function truthOf({ counts, truth }: ReturnType<typeof made>): ClassVerdict['state'] {
  const all = [...truth].map(([id, isThere]): [string, Answer[]] => [id, isThere ? ['yes', 'yes'] : ['no', 'no']]);
  return judgeClass(counts, new Map(all), ALLOWED).state;
}

const CASES: Readonly<Record<string, Case>> = {
  'false alarms that the new one does not have': { both: 0, today: [20, 0], fresh: [0, 0] },
  'false alarms but for one': { both: 0, today: [60, 1], fresh: [0, 0] },
  'a class that the new one never finds, half of it there': { both: 0, today: [60, 30], fresh: [0, 0] },
  'a class of few objects that the new one never finds': { both: 0, today: [4, 4], fresh: [0, 0] },
  'two that miss as much of each other': { both: 500, today: [40, 20], fresh: [40, 20] },
  'one that loses more than it finds': { both: 300, today: [60, 54], fresh: [10, 5] },
  'one that finds more': { both: 100, today: [40, 8], fresh: [60, 48] },
  'one with many false boxes': { both: 300, today: [20, 6], fresh: [200, 10] },
};
const RUNS = 20;

describe('answers about a class', () => {
  it.each(Object.entries(CASES))('settle %s as the truth does', (_, one) => {
    const random = seededRandom(7);
    const right = Array.from({ length: RUNS }, () => {
      const all = made(one, random);
      const verdict = asked(all, 0, random);
      expect(verdict.more).toBe(0);
      return verdict.state === truthOf(all);
    });
    // An interval of 95 % misses once in forty on one side; so many frames of one object can lie at the limit.
    expect(right.filter(Boolean).length).toBeGreaterThanOrEqual(RUNS - 1);
  });

  it('settle nineteen of twenty as the truth does if one in ten is wrong', () => {
    const random = seededRandom(11);
    const right = Object.values(CASES).flatMap((one) =>
      Array.from({ length: RUNS }, () => {
        const all = made(one, random);
        return asked(all, 0.1, random).state === truthOf(all);
      }),
    );
    expect(right.filter(Boolean).length).toBeGreaterThanOrEqual(0.95 * right.length);
  });

  it('are asked for of a part of the objects only', () => {
    const random = seededRandom(3);
    const all = made(CASES['one that finds more']!, random);
    expect(asked(all, 0, random).asks).toBeLessThan(25);
    expect(all.counts.objects).toHaveLength(100);
  });

  it('are predicted: as many as it says, if they go on as they began', () => {
    const random = seededRandom(5);
    const all = made({ both: 0, today: [40, 0], fresh: [0, 0] }, random);
    const answers = new Map<string, Answer[]>();
    const left: number[] = [];
    for (let verdict = judgeClass(all.counts, answers, ALLOWED); verdict.next !== null; ) {
      answers.set(verdict.next, ['no']);
      verdict = judgeClass(all.counts, answers, ALLOWED);
      left.push(verdict.more!);
    }
    expect(left.at(-1)).toBe(0);
    for (const [i, more] of left.entries()) if (i >= 5) expect(Math.abs(more - (left.length - 1 - i))).toBeLessThan(5);
  });
});

describe('a class is not settled', () => {
  const objects = (count: number, by: Disputed['by'] = 'today'): Disputed[] =>
    Array.from({ length: count }, (_, i) => ({ id: `${by} ${i}`, by, frames: 1 }));
  const told = (answer: Answer, count: number): Map<string, Answer[]> =>
    new Map(Array.from({ length: count }, (_, i): [string, Answer[]] => [`today ${i}`, [answer]]));

  it('by fewer than five objects of many', () => {
    expect(judgeClass({ label: 'bag', both: 0, objects: objects(20) }, told('yes', 4), ALLOWED).state).toBe('open');
    expect(judgeClass({ label: 'bag', both: 0, objects: objects(20) }, told('yes', 5), ALLOWED).state).toBe('worse');
  });

  it('by an answer unlike the others before it was asked again', () => {
    const counts = { label: 'bag', both: 0, objects: objects(40) };
    const answers = told('no', 12).set('today 3', ['yes']);
    expect(judgeClass(counts, answers, ALLOWED)).toMatchObject({ state: 'open', next: 'today 3' });
    expect(judgeClass(counts, answers.set('today 3', ['yes', 'no']), ALLOWED)).toMatchObject({ next: 'today 3' });
    expect(judgeClass(counts, answers.set('today 3', ['yes', 'no', 'no']), ALLOWED).next).not.toBe('today 3');
  });

  it('by answers of nobody who can tell', () => {
    const counts = { label: 'bag', both: 0, objects: objects(6) };
    expect(judgeClass(counts, told('unknown', 6), ALLOWED)).toMatchObject({
      state: 'open',
      answered: 0,
      more: null,
      next: null,
    });
  });

  it('where the pictures do not suffice', () => {
    const shown = objects(40).map((one, i) => ({ ...one, hasPicture: i < 3 }));
    expect(judgeClass({ label: 'bag', both: 0, objects: shown }, told('no', 3), ALLOWED)).toMatchObject({
      state: 'open',
      more: null,
      next: null,
    });
  });
});

it('asks about objects of each kind, as many as there is room for', () => {
  const random = seededRandom(1);
  const { counts } = made({ both: 0, today: [100, 0], fresh: [20, 0] }, random);
  const ids = askedObjects(counts, 24);
  const kinds = counts.objects.filter(({ id }) => ids.has(id)).map(({ by }) => by);
  expect(ids.size).toBe(24);
  expect(new Set(kinds)).toEqual(new Set(['today', 'new']));
  expect(askedObjects({ objects: counts.objects.slice(0, 3) }, 24).size).toBe(3);
});
