import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import {
  addBlock,
  eValue,
  type HarmEvidence,
  NO_EVIDENCE_OF_HARM,
  shareOfLevel,
} from '../../../../src/base/statistics/harm-evidence.ts';

/** Adds figures until the evidence is certain at a level. @returns the number of figures; null if it never is. */
function blocksUntil(alpha: number, most: number, limit: number, figure: (block: number) => number): number | null {
  let evidence: HarmEvidence = NO_EVIDENCE_OF_HARM;
  for (let block = 1; block <= most; block++) {
    evidence = addBlock(evidence, figure(block), limit);
    if (eValue(evidence) >= 1 / alpha) return block;
  }
  return null;
}

describe('evidence of harm', () => {
  it.each<[string, number, (random: () => number) => number]>([
    ['a third of the blocks lost, at a limit of a third', 1 / 3, (random) => (random() < 1 / 3 ? 1 : 0)],
    ['a mean at the limit, in values from 0 to 0.6', 0.3, (random) => 0.6 * random()],
    ['one large value in a hundred', 0.1, (random) => (random() < 0.01 ? 10 : 0)],
  ])('errs in 5 of 100 cases at most, over 400 looks each: %s', (_, limit, draw) => {
    const random = seededRandom(17);
    let errors = 0;
    for (let run = 0; run < 2000; run++) if (blocksUntil(0.05, 400, limit, () => draw(random)) !== null) errors += 1;
    expect(errors / 2000).toBeLessThanOrEqual(0.05);
  });

  it('finds a total loss in a dozen blocks at a level of one in ten million', () => {
    expect(blocksUntil(1e-7, 100, 0.3, () => 1)).toBeLessThanOrEqual(18);
  });

  it('finds harm that begins after a thousand good blocks nearly as fast', () => {
    const found = blocksUntil(1e-7, 2000, 0.3, (block) => (block > 1000 ? 1 : 0));
    expect(found).not.toBeNull();
    expect(found! - 1000).toBeLessThanOrEqual(32);
  });

  it('finds half a loss as well, and never the half of what is allowed', () => {
    expect(blocksUntil(1e-7, 400, 0.3, () => 0.5)).not.toBeNull();
    expect(blocksUntil(0.05, 10_000, 0.3, () => 0.15)).toBeNull();
  });

  it('stays finite', () => {
    let evidence = NO_EVIDENCE_OF_HARM;
    for (let i = 0; i < 10_000; i++) evidence = addBlock(evidence, 1, 0.01);
    expect(Number.isFinite(eValue(evidence))).toBe(true);
  });
});

describe('shareOfLevel', () => {
  it('adds up to at most 1 over a million tests, and leaves the thousandth more than a millionth', () => {
    let sum = 0;
    for (let number = 1; number <= 1_000_000; number++) sum += shareOfLevel(number);
    expect(sum).toBeLessThanOrEqual(1);
    expect(sum).toBeGreaterThan(0.9);
    expect(shareOfLevel(1000)).toBeGreaterThan(1e-6);
  });
});
