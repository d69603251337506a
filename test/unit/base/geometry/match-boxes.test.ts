import { describe, expect, it } from 'vitest';
import { matchBoxes, NOT_FOUND } from '../../../../src/base/geometry/match-boxes.ts';

/** Matches by a table of IoUs: a row for each wanted box, a column for each box of the other side. */
function match(table: readonly (readonly number[])[], order = [...table.keys()]): number[] {
  return [...matchBoxes(order, table[0]?.length ?? 0, (wanted, there) => table[wanted]![there]!)];
}

describe('matching boxes', () => {
  it('takes the box that overlaps most, from IoU 0.5 on', () => {
    expect(match([[0.6, 0.9, 0.7]])).toEqual([1]);
    expect(match([[0.1, 0.5]])).toEqual([1]);
    expect(match([[0.49]])).toEqual([NOT_FOUND]);
  });

  it('takes each box once: the first to choose gets it', () => {
    const both = [
      [0.6, 0],
      [0.9, 0.5],
    ];
    expect(match(both)).toEqual([0, 1]);
    expect(match(both, [1, 0])).toEqual([0, NOT_FOUND]);
  });

  it('takes the last of boxes that overlap equally', () => {
    expect(match([[0.8, 0.8, 0.7]])).toEqual([1]);
  });

  it('finds nothing if one side is empty', () => {
    expect(match([])).toEqual([]);
    expect([...matchBoxes([3, 4], 0, () => 1)]).toEqual([NOT_FOUND, NOT_FOUND]);
  });

  it('never matches a pair whose IoU is not a number', () => {
    expect(match([[Number.NaN, 0.5]])).toEqual([1]);
  });
});
