import { describe, expect, it } from 'vitest';
import { MoveBudget } from '../../../../../src/fleet/control/planning/move-budget.ts';
import { type MovingStream, moveStreams } from '../../../../../src/fleet/control/planning/move-streams.ts';

const ROOMS = new Map(['a', 'b', 'c'].map((hostId) => [hostId, { hostId, fps: 10 }]));

function moving(
  id: string,
  from: string | null,
  to: string,
  fps: number,
  more: Partial<MovingStream> = {},
): MovingStream {
  return { id, from, to, fps, priority: 0, isUnplaced: from === null, ...more };
}

function moved(wanted: readonly MovingStream[], loads: Map<string, number>, budget: MoveBudget): string[] {
  return moveStreams(wanted, ROOMS, loads, budget).moved.map(({ id }) => id);
}

describe('moving streams', () => {
  it('waits until the target host has room', () => {
    const loads = new Map([
      ['a', 8],
      ['b', 8],
      ['c', 0],
    ]);
    const wanted = [moving('in', null, 'a', 5), moving('out', 'a', 'c', 8)];
    expect(moved(wanted, loads, MoveBudget.full(1))).toEqual(['out']);
    expect(moved([wanted[0]!], loads, MoveBudget.full(1))).toEqual(['in']);
    expect([...loads.values()]).toEqual([5, 8, 8]);
  });

  it('lets one leave and another enter in one round if the budget allows', () => {
    const loads = new Map([
      ['a', 8],
      ['b', 0],
      ['c', 0],
    ]);
    const wanted = [moving('in', null, 'a', 5), moving('out', 'a', 'c', 8)];
    expect(moved(wanted, loads, MoveBudget.full(5))).toEqual(['out', 'in']);
  });

  it('parks the lowest priority of those that block each other, never one that frees no room', () => {
    const loads = new Map([
      ['a', 10],
      ['b', 10],
      ['c', 0],
    ]);
    const wanted = [
      moving('x', 'a', 'b', 10, { priority: 1 }),
      moving('y', 'b', 'a', 10),
      moving('z', 'gone', 'a', 10, { priority: -1 }),
    ];
    const { moved: made, parked } = moveStreams(wanted, ROOMS, loads, MoveBudget.full(5));
    expect([made.length, parked?.id]).toEqual([0, 'y']);
  });
});

describe('the budget of moves', () => {
  it('holds one second of moves, at least one, and fills with time', () => {
    expect([MoveBudget.full(10).tokens, MoveBudget.full(0.1).tokens]).toEqual([10, 1]);
    expect(MoveBudget.after(10, 2, 500).tokens).toBe(7);
    expect(MoveBudget.after(10, 2, 5_000).tokens).toBe(10);
    expect(MoveBudget.after(0.1, 0, 5_000).isEmpty).toBe(true);
    expect(MoveBudget.after(0.1, 0, 10_000).isEmpty).toBe(false);
  });

  it('treats a clock that goes back as one that stands still', () => {
    expect(MoveBudget.after(10, 2, -5_000).tokens).toBe(2);
  });
});
