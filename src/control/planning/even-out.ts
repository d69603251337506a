import type { MovingStream } from './move-streams.ts';
import type { Room } from './pack-streams.ts';

export interface SettledStream {
  readonly id: string;
  readonly priority: number;
  readonly wantedHost: string | null;
  readonly hostId: string;
  readonly fps: number;
}

/** A move has to close at least this much of the gap, or it is not worth the seconds that the stream is away. */
const LEAST_GAIN = 0.1;

/**
 * Finds the one move that brings the fullest and the emptiest host closest together.
 *
 * @param gap - difference in relative load below which nothing is moved.
 */
export function evenOut(
  streams: readonly SettledStream[],
  rooms: ReadonlyMap<string, Room>,
  loads: ReadonlyMap<string, number>,
  gap: number,
): MovingStream | null {
  const ratio = ({ hostId, fps }: Room): number => loads.get(hostId)! / fps;
  const byLoad = [...rooms.values()].sort((a, b) => ratio(a) - ratio(b));
  const [emptiest, fullest] = [byLoad[0], byLoad.at(-1)];
  if (emptiest === undefined || fullest === undefined) return null;
  const before = ratio(fullest) - ratio(emptiest);
  if (before <= gap) return null;
  let best: SettledStream | null = null;
  let bestGap = before - LEAST_GAIN;
  for (const stream of streams) {
    if (stream.hostId !== fullest.hostId || stream.wantedHost === fullest.hostId) continue;
    if (loads.get(emptiest.hostId)! + stream.fps > emptiest.fps) continue;
    const after = Math.abs(before - stream.fps / fullest.fps - stream.fps / emptiest.fps);
    if (after < bestGap || (after === bestGap && best !== null && stream.priority < best.priority))
      [best, bestGap] = [stream, after];
  }
  if (best === null) return null;
  const { id, priority, hostId, fps } = best;
  return { id, priority, from: hostId, to: emptiest.hostId, fps, isHomeless: false };
}
