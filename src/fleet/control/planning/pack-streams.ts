/** A ready host, with the inferences a second that live streams may use on it. */
export interface Room {
  readonly hostId: string;
  readonly fps: number;
  /** Names of detectors that it has beside its pipeline's own; none if absent. */
  readonly models?: readonly string[] | undefined;
}

export interface PackedStream {
  readonly id: string;
  readonly priority: number;
  readonly wantFps: number;
  /** Host that an operator chose, used if it has room; null for none. */
  readonly wantedHost: string | null;
  /** Host it is on now; null, or a host that is not in `rooms`, if it needs another one. */
  readonly currentHost: string | null;
  /** Names of detectors that it may use beside its pipeline's own; none if absent. */
  readonly models?: readonly string[] | undefined;
}

/** Whether a host has the detectors of a stream. */
export function canRun({ models: has = [] }: Room, { models = [] }: Pick<PackedStream, 'models'>): boolean {
  return models.every((name) => has.includes(name));
}

/**
 * Which streams are placed first. `stay`: streams with a host keep it, new ones get the remaining room. `yield`: higher
 * priorities are placed first, and lower ones move if necessary.
 */
export type PackOrder = 'stay' | 'yield';

/** Tolerance for sums of rates: their last digits depend on the order of the terms. */
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
 * Returns the current hosts if all streams can stay where they are. This is the result of most rounds, found without sorting.
 *
 * @returns null if a stream has no ready host or should be on another one, or if a host is too full.
 */
export function currentPlaces<T extends PackedStream>(
  streams: readonly T[],
  rooms: ReadonlyMap<string, Room>,
  rateOf: (stream: T) => number,
  fill: number,
): ReadonlyMap<string, string> | null {
  const places = new Map<string, string>();
  const loads = new Map<string, number>();
  for (const stream of streams) {
    const { id, currentHost, wantedHost } = stream;
    if (currentHost === null || !rooms.has(currentHost) || !canRun(rooms.get(currentHost)!, stream)) return null;
    const wanted = wantedHost === currentHost || wantedHost === null ? undefined : rooms.get(wantedHost);
    if (wanted !== undefined && canRun(wanted, stream)) return null;
    const load = (loads.get(currentHost) ?? 0) + rateOf(stream);
    if (load > rooms.get(currentHost)!.fps * fill + ROUNDING_FPS) return null;
    loads.set(currentHost, load);
    places.set(id, currentHost);
  }
  return places;
}

/**
 * Assigns each stream, in this order, the first of these hosts that has room: the wanted one, the current one, the one with
 * the lowest relative load.
 *
 * @param rateOf - inferences a second that a stream uses.
 * @param fill - share of each room that may be used, 0 to 1.
 * @param allowsUnplaced - whether streams may stay without a host; otherwise the first that finds none ends the attempt.
 * @returns host of each placed stream; null if one found no host and `allowsUnplaced` is false.
 */
export function packStreams<T extends PackedStream>(
  ordered: readonly T[],
  rooms: ReadonlyMap<string, Room>,
  rateOf: (stream: T) => number,
  fill: number,
  allowsUnplaced: boolean,
): ReadonlyMap<string, string> | null {
  const places = new Map<string, string>();
  const loads = new Map<string, number>();
  for (const { hostId } of rooms.values()) loads.set(hostId, 0);
  const fits = (hostId: string | null, stream: T, fps: number): hostId is string => {
    const room = hostId === null ? undefined : rooms.get(hostId);
    return (
      room !== undefined && canRun(room, stream) && loads.get(room.hostId)! + fps <= room.fps * fill + ROUNDING_FPS
    );
  };
  for (const stream of ordered) {
    const fps = rateOf(stream);
    const hostId =
      [stream.wantedHost, stream.currentHost].find((id): id is string => fits(id, stream, fps)) ??
      leastLoaded(stream, fps);
    if (hostId === null) {
      if (allowsUnplaced) continue;
      return null;
    }
    places.set(stream.id, hostId);
    loads.set(hostId, loads.get(hostId)! + fps);
  }
  return places;

  function leastLoaded(stream: T, fps: number): string | null {
    let best: string | null = null;
    let bestLoad = Number.POSITIVE_INFINITY;
    for (const room of rooms.values()) {
      const load = (loads.get(room.hostId)! + fps) / room.fps;
      if (load < bestLoad && load <= fill + ROUNDING_FPS / room.fps && canRun(room, stream))
        [best, bestLoad] = [room.hostId, load];
    }
    return best;
  }
}
