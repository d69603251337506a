import { expect, it } from 'vitest';
import { searchSeconds } from '../../../../../src/lab/optimize/search/time-budget.ts';

it('a search gets what the rest of the budget leaves', () => {
  expect(searchSeconds(600, 40, 64)).toBe(496);
});

it('a search gets a fifth of the budget where the rest would take all of it, and never a negative time', () => {
  expect(searchSeconds(120, 60, 64)).toBe(24);
  expect(searchSeconds(120, 500, 64)).toBe(24);
});
