import { describe, expect, it } from 'vitest';
import { CASES, type Case, simulateRollouts } from '../../../bench/rollout-simulation.bench.ts';
import { RankCanary, rankScore, ThresholdCanary } from '../../../bench/support/canaries.ts';
import { readRecordedResults } from '../../../bench/support/recorded-results.ts';

const recorded = readRecordedResults();

/** Pure computation, seconds for most cases; ten times as long on a machine that does other things. */
const TIMEOUT_MS = 300_000;
/** The benchmark `rollout-sim` simulates 10 to 200 of each. */
const ROLLOUTS = 3;

function named(name: string): Case {
  const found = CASES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no case "${name}"`);
  return found;
}

describe('of simulated roll-outs', { timeout: TIMEOUT_MS }, () => {
  it.each([
    ['equal model (bf16 for f32)', ROLLOUTS],
    ['equal model, steps 25, 50, 100 %, 10 s each', 1],
  ])('of an %s none is rolled back, and all end', (name, rollouts) => {
    const [outcome] = simulateRollouts(recorded, named(name), rollouts);
    expect(outcome).toMatchObject({ rolledBack: 0, promoted: rollouts, held: 0 });
  });

  it.each([
    ['5 points of F1 lost', 'agreement'],
    ['one blind camera of 12', 'agreement'],
    ['cars lost, one camera of eight shows some', 'agreement'],
    ['cars lost on one camera of eight that show them', 'agreement'],
    ['half of the inferences fail on one camera of 12', 'errors'],
    ['half of the rate on one camera of 12', 'fps'],
    ['three times the latency on one camera of 12', 'p99'],
  ])('with %s every one is rolled back in time, by %s', (name, guard) => {
    const [outcome] = simulateRollouts(recorded, named(name), ROLLOUTS);
    expect(outcome).toMatchObject({ rolledBack: ROLLOUTS, inTime: ROLLOUTS, reasons: { [guard]: ROLLOUTS } });
  });

  it.each(['slow, 1.9 of 3 frames/s, eight streams', 'blind, only alone', 'a sixth of the rate lost, only alone'])(
    'with a candidate that is %s every one is rolled back in time',
    (name) => {
      const [outcome] = simulateRollouts(recorded, named(name), ROLLOUTS);
      expect(outcome).toMatchObject({ rolledBack: ROLLOUTS, inTime: ROLLOUTS });
    },
  );

  it('the same seeds give the same outcome', () => {
    const open = (): (ThresholdCanary | RankCanary)[] => [new ThresholdCanary(1), new RankCanary()];
    const one = named('5 points of F1 lost');
    expect(simulateRollouts(recorded, one, 2, open)).toEqual(simulateRollouts(recorded, one, 2, open));
  });
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
