import { expect, it } from 'vitest';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import { SteadyEstimate } from '../../../../../src/fleet/control/rollout/steady-estimate.ts';

const MINUTE_MS = 60_000;

it('never moves what is left by more than two minutes in a minute, however the evidence jumps', () => {
  const [steady, random] = [new SteadyEstimate(), seededRandom(3)];
  const shown: number[] = [];
  for (let second = 0; second < 1800; second++) {
    const leftMs = steady.update([97, 14, 9, 8, 10][Math.floor(random() * 5)]! * MINUTE_MS, second * 1000);
    if (leftMs !== null) shown.push(leftMs);
  }
  for (let at = 60; at < shown.length; at++)
    expect(Math.abs(shown[at]! - shown[at - 60]!)).toBeLessThanOrEqual(2 * MINUTE_MS);
});

it('counts down a steady estimate to its end, says nothing at first, and keeps what it knew while nothing is known', () => {
  const steady = new SteadyEstimate();
  const at = (second: number, leftMs: number | null) => steady.update(leftMs, second * 1000);
  expect(at(0, null)).toBeNull();
  expect(at(1, 300_000)).toBeNull();
  expect(at(2, 90_000), 'the first ones follow').toBeNull();
  expect(at(32, 60_000)).toBe(60_000);
  expect(at(42, null)).toBe(50_000);
  expect(at(92, 0)).toBe(0);
});
