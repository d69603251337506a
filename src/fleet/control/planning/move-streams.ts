import type { MoveBudget } from './move-budget.ts';
import { ROUNDING_FPS, type Room } from './pack-streams.ts';

export interface MovingStream {
  readonly id: string;
  readonly priority: number;
  /** Host to leave; null if it has none. */
  readonly from: string | null;
  readonly to: string;
  readonly fps: number;
  /** The stream does not run: it has no host, or its host is gone. */
  readonly isUnplaced: boolean;
}

export interface MadeMoves {
  readonly moved: readonly MovingStream[];
  /** Removed from its host because all moves block each other; it gets a new host in the next round. */
  readonly parked: MovingStream | null;
}

/**
 * Makes as many moves as the budget and the room on the target hosts allow: streams that do not run first, then higher
 * priorities. A stream leaves its host before another takes its place.
 *
 * @param loads - inferences a second of live streams by host; updated by each move.
 */
export function moveStreams(
  wanted: readonly MovingStream[],
  rooms: ReadonlyMap<string, Room>,
  loads: Map<string, number>,
  budget: MoveBudget,
): MadeMoves {
  const moved: MovingStream[] = [];
  let blocked = [...wanted].sort(
    (a, b) =>
      Number(b.isUnplaced) - Number(a.isUnplaced) ||
      b.priority - a.priority ||
      b.fps - a.fps ||
      (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
  );
  for (let before = -1; before !== moved.length && blocked.length > 0; ) {
    before = moved.length;
    blocked = blocked.filter((move) => {
      if (budget.isEmpty || loads.get(move.to)! + move.fps > rooms.get(move.to)!.fps + ROUNDING_FPS) return true;
      budget.take();
      relocate(move);
      moved.push(move);
      return false;
    });
  }
  const isStuck = moved.length === 0 && !budget.isEmpty;
  const parked = isStuck ? (blocked.findLast(({ from }) => from !== null && rooms.has(from)) ?? null) : null;
  if (parked !== null) budget.take();
  return { moved, parked };

  function relocate({ from, to, fps }: MovingStream): void {
    if (from !== null && loads.has(from)) loads.set(from, loads.get(from)! - fps);
    loads.set(to, loads.get(to)! + fps);
  }
}
