import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssignmentSolver } from '../../../../src/base/geometry/assignment.ts';

/** Tries every assignment; only for matrices of a few rows. */
function cheapestByTrial(costs: number[][]): number {
  const rows = costs.length;
  const columns = costs[0]!.length;
  if (rows > columns) return cheapestByTrial(costs[0]!.map((_, c) => costs.map((row) => row[c]!)));
  const tryRow = (row: number, used: ReadonlySet<number>): number => {
    if (row === rows) return 0;
    let best = Infinity;
    for (let c = 0; c < columns; c++) {
      if (!used.has(c)) best = Math.min(best, costs[row]![c]! + tryRow(row + 1, new Set([...used, c])));
    }
    return best;
  };
  return tryRow(0, new Set());
}

const matrices = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })).chain(([rows, columns]) =>
  fc.array(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: columns, maxLength: columns }), {
    minLength: rows,
    maxLength: rows,
  }),
);

describe('AssignmentSolver', () => {
  it('does without a cheap pair if that lowers the total', () => {
    // Greedy matching takes 1 first and pays 1 + 10; the best is 2 + 3.
    expect([...new AssignmentSolver().solve(Float64Array.of(1, 2, 3, 10), 2, 2)]).toEqual([1, 0]);
  });

  it('leaves rows without a column if there are more rows than columns', () => {
    expect([...new AssignmentSolver().solve(Float64Array.of(5, 1, 3), 3, 1)]).toEqual([-1, 0, -1]);
    expect([...new AssignmentSolver().solve(new Float64Array(0), 2, 0)]).toEqual([-1, -1]);
  });

  it('finds the cheapest assignment of any matrix, with reused buffers', () => {
    const solver = new AssignmentSolver();
    fc.assert(
      fc.property(matrices, (costs) => {
        const columns = costs[0]!.length;
        const assigned = solver.solve(Float64Array.from(costs.flat()), costs.length, columns);
        const taken = [...assigned].filter((column) => column !== -1);
        expect(new Set(taken).size).toBe(taken.length);
        expect(taken.length).toBe(Math.min(costs.length, columns));
        const cost = [...assigned].reduce((sum, column, row) => sum + (column === -1 ? 0 : costs[row]![column]!), 0);
        expect(cost).toBe(cheapestByTrial(costs));
      }),
      { numRuns: 200 },
    );
  });
});
