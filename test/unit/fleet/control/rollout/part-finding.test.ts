import { describe, expect, it } from 'vitest';
import { addBlock, eValue, NO_EVIDENCE_OF_HARM } from '../../../../../src/base/statistics/harm-evidence.ts';
import type { PartRule } from '../../../../../src/fleet/control/rollout/guards/guard.ts';
import { guardsConfig } from '../../../../../src/fleet/control/rollout/guards/guards.ts';
import {
  type PartFinding,
  PartJudge,
  SUSPICION_MS,
  worstOf,
} from '../../../../../src/fleet/control/rollout/part-finding.ts';

const RULE = {
  kind: 'missing',
  guard: 'boxes' as const,
  figure: (block: number) => ({ figure: block, limit: 0.3 }),
  limit: () => 0.3,
  says: (size: string, blocks: string) => `misses ${size} in ${blocks}`,
};

/** Judges a part of these blocks, one a second. */
function found(blocks: readonly number[], more: { isEarly?: boolean; isForPerson?: boolean; lastMs?: number } = {}) {
  const judge = new PartJudge<number, PartRule<number>>([RULE], guardsConfig.parse({}));
  const part = { evidence: {} };
  for (const block of blocks) judge.add(part.evidence, block);
  const look = {
    where: 'On stream "gate"',
    unit: 'turns',
    alpha: 0.01,
    fromMs: 0,
    lastMs: 1000 * blocks.length,
    ...more,
  };
  return [...judge.findings('boxes', [part], 1000 * blocks.length, () => look)].map(([, finding]) => finding);
}

describe('a part of the whole', () => {
  it('is suspect from its first block on only where one block says enough', () => {
    expect(found([1])).toEqual([]);
    expect(found([1], { isEarly: true })).toMatchObject([{ verdict: 'suspect', what: 'misses 100 % in 1 turns' }]);
    expect(found([0.2], { isEarly: true }), 'within the limit').toEqual([]);
    expect(found([], { isEarly: true })).toEqual([]);
  });

  it('fails once harm is certain, or waits for a person', () => {
    const many = Array.from({ length: 20 }, () => 1);
    expect(found(many)).toMatchObject([{ verdict: 'fail', isForPerson: false, estimate: 1 }]);
    expect(found(many, { isForPerson: true })).toMatchObject([{ verdict: 'suspect', isForPerson: true, leftMs: null }]);
  });

  it('is certain to fail once its evidence has grown by the same factor often enough', () => {
    // Evidence grows like interest: by a factor of v in 3 s, so by a hundred in 3 s times ln(100) / ln(v).
    const evidence = [1, 1, 1].reduce((sum, block) => addBlock(sum, block, 0.3), NO_EVIDENCE_OF_HARM);
    const [{ leftMs } = { leftMs: null }] = found([1, 1, 1]);
    expect(leftMs).toBeCloseTo((3000 * Math.log(100)) / Math.log(eValue(evidence)) - 3000, 3);
  });

  it('is no longer suspect after half an hour without new evidence', () => {
    const seen = (agoMs: number) => found([1, 1, 1], { lastMs: 3000 - agoMs });
    expect(seen(SUSPICION_MS - 1)).toMatchObject([{ verdict: 'suspect' }]);
    expect(seen(SUSPICION_MS)).toEqual([]);
  });
});

it('certain harm is worse than any suspicion, and the first of equals is reported', () => {
  const finding = (where: string, verdict: PartFinding['verdict']): readonly [null, PartFinding] => [
    null,
    { where, verdict, what: '', estimate: 1, limit: 0.3, limitText: '30 %', leftMs: null },
  ];
  const [a, b, c] = [finding('a', 'suspect'), finding('b', 'fail'), finding('c', 'fail')];
  expect(worstOf([a, b, c])?.where).toBe('b');
  expect(worstOf([a, finding('d', 'suspect')])?.where).toBe('a');
  expect(worstOf([])).toBeNull();
});
