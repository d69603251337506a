import type { MovingStream } from './move-streams.ts';
import { canRun, type PackedStream, type Room } from './pack-streams.ts';

/** A move must close at least this much of the gap, or it is not worth the seconds without results. */
const MIN_GAIN = 0.1;

/**
 * Finds the move that brings the relative loads of the fullest and the emptiest host closest together; null if none is worth it.
 *
 * @param plan - host and rate of each stream, and the load of each host.
 * @param gap - difference in relative load up to which nothing is moved.
 */
export function rebalance(
  streams: readonly PackedStream[],
  rooms: ReadonlyMap<string, Room>,
  plan: {
    readonly hosts: ReadonlyMap<string, string>;
    readonly rates: ReadonlyMap<string, number>;
    readonly loads: ReadonlyMap<string, number>;
  },
  gap: number,
): MovingStream | null {
  const { hosts, rates, loads } = plan;
  const ratio = ({ hostId, fps }: Room): number => loads.get(hostId)! / fps;
  const byLoad = [...rooms.values()].sort((a, b) => ratio(a) - ratio(b));
  const [emptiest, fullest] = [byLoad[0], byLoad.at(-1)];
  if (emptiest === undefined || fullest === undefined) return null;
  const before = ratio(fullest) - ratio(emptiest);
  if (before <= gap) return null;
  let best: PackedStream | null = null;
  let bestGap = before - MIN_GAIN;
  for (const stream of streams) {
    if (hosts.get(stream.id) !== fullest.hostId || stream.wantedHost === fullest.hostId) continue;
    const fps = rates.get(stream.id)!;
    if (loads.get(emptiest.hostId)! + fps > emptiest.fps || !canRun(emptiest, stream)) continue;
    const after = Math.abs(before - fps / fullest.fps - fps / emptiest.fps);
    if (after < bestGap || (after === bestGap && best !== null && stream.priority < best.priority))
      [best, bestGap] = [stream, after];
  }
  if (best === null) return null;
  const { id, priority } = best;
  return { id, priority, from: fullest.hostId, to: emptiest.hostId, fps: rates.get(id)!, isUnplaced: false };
}
