import { describe, expect, it } from 'vitest';
import {
  judgedLate,
  judgeInterval,
  LATE_MS,
  type Question,
} from '../../../../../src/fleet/control/rollout/judge-effect.ts';

const QUESTION = { guard: 'p99', subject: 'the latency', unit: 'relative', margin: 0.1 } as const;
const SPAN_MS = 60_000;

function leftMs(harm: Question['harm'], [low, estimate, high]: [number, number, number], blocks = 40): number | null {
  return judgeInterval({ ...QUESTION, harm }, { low, estimate, high }, 1000, { blocks, spanMs: SPAN_MS }).leftMs;
}

describe('the time until a guard decides', () => {
  // An interval that has to become n times narrower needs n^2 times the time; one minute has passed.
  it.each([
    ['a rise: the upper end has to halve', 'rise', [-0.4, 0, 0.2], 4 - 1],
    ['a fall: the lower end has to become a quarter', 'fall', [-0.4, 0, 0.2], 16 - 1],
    ['any change: the end that takes longer', 'change', [-0.4, 0, 0.2], 16 - 1],
    ['any change, the other end', 'change', [-0.2, 0, 0.4], 16 - 1],
    ['an estimate half-way to the margin', 'rise', [0, 0.05, 0.2], 9 - 1],
    ['an estimate beyond the margin, which has to leave it behind', 'rise', [-0.3, 0.3, 0.9], 9 - 1],
    ['a fall beyond the margin', 'fall', [-0.9, -0.3, 0.3], 9 - 1],
    ['a change beyond the margin, where the other end does not matter', 'change', [-0.3, 0.3, 0.9], 9 - 1],
  ] as const)('%s', (_, harm, interval, minutes) => {
    expect(leftMs(harm, [...interval])).toBeCloseTo(minutes * SPAN_MS, 3);
  });

  it('is that of the blocks that are missing, while there are too few', () => {
    expect(leftMs('rise', [-0.01, 0, 0.01], 8), '8 of 32').toBeCloseTo(3 * SPAN_MS, 3);
  });

  it('is not estimated beyond a week, nor once it is decided', () => {
    expect(leftMs('rise', [-20, 0, 20])).toBeNull();
    expect(leftMs('rise', [-0.01, 0, 0.01])).toBeNull();
  });
});

describe('a speed that noise keeps undecided', () => {
  const question: Question = { ...QUESTION, harm: 'rise' };
  const judged = ([low, estimate, high]: [number, number, number], elapsedMs: number) =>
    judgedLate(judgeInterval(question, { low, estimate, high }, 1000, { blocks: 200, spanMs: SPAN_MS }), {
      question,
      largest: 1,
      elapsedMs,
    });

  it('passes late if it looks equal and harm beyond what one stream may have is excluded, and says so', () => {
    expect(judged([-0.2, 0.02, 0.6], LATE_MS - 1)).toMatchObject({ verdict: 'undecided', leftMs: 1 });
    const late = judged([-0.2, 0.02, 0.6], LATE_MS);
    expect(late).toMatchObject({ verdict: 'pass', leftMs: null });
    expect(late.reason).toBe(
      'The latency differs by +2 % (-20 % to +60 %) on 1000 frames. That does not settle the margin of 10 % in 5 min, but excludes 100 %.',
    );
  });

  it.each([
    ['it looks worse', [-0.2, 0.06, 0.6]],
    ['great harm is possible', [-0.2, 0.02, 1.1]],
    ['nothing bounds it', [Number.NEGATIVE_INFINITY, 0.02, Number.POSITIVE_INFINITY]],
  ] as const)('waits on if %s', (_, interval) => {
    expect(judged([...interval] as [number, number, number], 10 * LATE_MS).verdict).toBe('undecided');
  });

  it('fails as before', () => {
    expect(judged([0.2, 0.3, 0.4], LATE_MS).verdict).toBe('fail');
  });
});
