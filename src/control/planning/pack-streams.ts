/** A host that streams may be put on, with the inferences a second that live streams may fill. */
export interface Room {
  readonly hostId: string;
  readonly fps: number;
}

export interface PackedStream {
  readonly id: string;
  readonly priority: number;
  readonly wantFps: number;
  /** Where it is to be if there is room; null where nobody asked. */
  readonly wantedHost: string | null;
  /** Where it is now; null, or a host without a room, where it has to go elsewhere. */
  readonly currentHost: string | null;
}

/**
 * Who chooses first. `stay`: everybody keeps the place that is held, newcomers get what is left. `yield`: higher
 * priorities choose first, and whoever is in the way moves.
 */
export type PackOrder = 'stay' | 'yield';

/** Sums of a hundred rates differ in their last digits with the order of the terms. */
export const ROUNDING_FPS = 1e-6;

export function inOrder<T extends PackedStream>(
  streams: readonly T[],
  rooms: ReadonlyMap<string, Room>,
  order: PackOrder,
): T[] {
  const turn = ({ wantedHost, currentHost }: T): number => {
    if (wantedHost !== null && rooms.has(wantedHost)) return 0;
    return currentHost !== null && rooms.has(currentHost) ? 1 : 2;
  };
  const ranked = streams.map((stream) => {
    const [byTurn, byPriority] = [turn(stream), -stream.priority];
    return order === 'stay'
      ? { stream, first: byTurn, second: byPriority }
      : { stream, first: byPriority, second: byTurn };
  });
  ranked.sort(
    (a, b) =>
      a.first - b.first ||
      a.second - b.second ||
      b.stream.wantFps - a.stream.wantFps ||
      (a.stream.id < b.stream.id ? -1 : a.stream.id > b.stream.id ? 1 : 0),
  );
  return ranked.map(({ stream }) => stream);
}

/**
 * Where everybody is, if everybody may stay there: the answer of most rounds, found without sorting.
 *
 * @returns null where a stream has no ready host, should be on another one, or one is too full.
 */
export function asTheyAre<T extends PackedStream>(
  streams: readonly T[],
  rooms: ReadonlyMap<string, Room>,
  rateOf: (stream: T) => number,
  fill: number,
): ReadonlyMap<string, string> | null {
  const homes = new Map<string, string>();
  const loads = new Map<string, number>();
  for (const stream of streams) {
    const { id, currentHost, wantedHost } = stream;
    if (currentHost === null || !rooms.has(currentHost)) return null;
    if (wantedHost !== null && wantedHost !== currentHost && rooms.has(wantedHost)) return null;
    const load = (loads.get(currentHost) ?? 0) + rateOf(stream);
    if (load > rooms.get(currentHost)!.fps * fill + ROUNDING_FPS) return null;
    loads.set(currentHost, load);
    homes.set(id, currentHost);
  }
  return homes;
}

/**
 * Gives each stream, in the order given, the host that it wants, else the one that it is on, else the one with the lowest
 * relative load, as far as it has room.
 *
 * @param rateOf - inferences a second that a stream takes.
 * @param fill - share of each room that may be used, 0 to 1.
 * @param mayLeave - whether streams may stay without a host; else the first that finds none ends the attempt.
 * @returns host of each stream that got one; null where `mayLeave` is false and one got none.
 */
export function packStreams<T extends PackedStream>(
  ordered: readonly T[],
  rooms: ReadonlyMap<string, Room>,
  rateOf: (stream: T) => number,
  fill: number,
  mayLeave: boolean,
): ReadonlyMap<string, string> | null {
  const homes = new Map<string, string>();
  const loads = new Map<string, number>();
  for (const { hostId } of rooms.values()) loads.set(hostId, 0);
  const fits = (hostId: string | null, fps: number): hostId is string => {
    const room = hostId === null ? undefined : rooms.get(hostId);
    return room !== undefined && loads.get(room.hostId)! + fps <= room.fps * fill + ROUNDING_FPS;
  };
  for (const stream of ordered) {
    const fps = rateOf(stream);
    const hostId =
      [stream.wantedHost, stream.currentHost].find((id): id is string => fits(id, fps)) ?? leastLoaded(fps);
    if (hostId === null) {
      if (mayLeave) continue;
      return null;
    }
    homes.set(stream.id, hostId);
    loads.set(hostId, loads.get(hostId)! + fps);
  }
  return homes;

  function leastLoaded(fps: number): string | null {
    let best: string | null = null;
    let bestLoad = Number.POSITIVE_INFINITY;
    for (const { hostId, fps: room } of rooms.values()) {
      const load = (loads.get(hostId)! + fps) / room;
      if (load < bestLoad && load <= fill + ROUNDING_FPS / room) [best, bestLoad] = [hostId, load];
    }
    return best;
  }
}
