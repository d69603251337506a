import { describe, expect, it } from 'vitest';
import { simulateRollouts } from '../../../bench/rollout-simulation.bench.ts';
import { GuardedCanary, RankCanary, rankScore, ThresholdCanary } from '../../../bench/support/canaries.ts';
import { readRecordedResults } from '../../../bench/support/recorded-results.ts';
import { EQUAL, LESS_F1, MORE_P99 } from '../../../bench/support/rollout-simulation.ts';

/** The benchmark `rollout-sim` simulates 200 of each. */
const ROLLOUTS = 10;
const recorded = readRecordedResults();
const guards = (): GuardedCanary[] => [new GuardedCanary()];

/** Pure computation, about 20 s for the slowest; ten times as long on a machine that does other things. */
const TIMEOUT_MS = 200_000;

describe(`of ${ROLLOUTS} simulated roll-outs`, { timeout: TIMEOUT_MS }, () => {
  it('of an equal model the guards roll back at most 5 %, and promote most', async () => {
    const [outcome] = await simulateRollouts(recorded, EQUAL, ROLLOUTS, guards);
    expect(outcome!.rolledBack).toBeLessThanOrEqual(ROLLOUTS * 0.05);
    expect(outcome!.promoted).toBeGreaterThanOrEqual(ROLLOUTS * 0.8);
  });

  it('of a model that loses 5 points of F1 the guards roll back at least 95 %, because boxes disagree', async () => {
    const [outcome] = await simulateRollouts(recorded, LESS_F1, ROLLOUTS, guards);
    expect(outcome!.rolledBack).toBeGreaterThanOrEqual(ROLLOUTS * 0.95);
    expect(outcome!.reasons).toEqual({ agreement: outcome!.rolledBack });
  });

  it('of a model that adds 20 % to p99 the guards roll back at least 95 %, because of p99', async () => {
    const [outcome] = await simulateRollouts(recorded, MORE_P99, ROLLOUTS, guards);
    expect(outcome!.rolledBack).toBeGreaterThanOrEqual(ROLLOUTS * 0.95);
    expect(outcome!.reasons).toEqual({ p99: outcome!.rolledBack });
  });
});

it('the same seeds give the same outcome', async () => {
  const open = (): (GuardedCanary | ThresholdCanary | RankCanary)[] => [
    new GuardedCanary(),
    new ThresholdCanary(1),
    new RankCanary(),
  ];
  const [first, second] = [
    await simulateRollouts(recorded, LESS_F1, 2, open),
    await simulateRollouts(recorded, LESS_F1, 2, open),
  ];
  expect(first).toEqual(second);
});

describe('rankScore', () => {
  it('is the published z of a Mann-Whitney test', () => {
    // U of the first sample: each of its values beats all of the other: 5 x 5 = 25; mean 12.5, deviation sqrt(25 x 11 / 12).
    expect(rankScore([6, 7, 8, 9, 10], [1, 2, 3, 4, 5])).toBeCloseTo(12.5 / Math.sqrt((25 * 11) / 12), 10);
    expect(rankScore([1, 1, 1], [1, 1, 1])).toBe(0);
  });

  it('shares ranks among equal values', () => {
    // Ranks 1, 2.5 against 2.5, 4: U = 3.5 - 3 = 0.5; variance 4 / 12 x (5 - 6 / 12) = 1.5.
    expect(rankScore([1, 2], [2, 3])).toBeCloseTo((0.5 - 2) / Math.sqrt(1.5), 10);
  });
});
