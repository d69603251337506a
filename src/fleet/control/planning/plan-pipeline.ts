import type { MoveBudget } from './move-budget.ts';
import { type MovingStream, moveStreams } from './move-streams.ts';
import {
  canRun,
  currentPlaces,
  inOrder,
  type PackedStream,
  type PackOrder,
  packStreams,
  type Room,
} from './pack-streams.ts';
import type { PlanOptions } from './plan-options.ts';
import { type RateCut, RateLadder } from './rate-ladder.ts';

export interface PlannedStream extends PackedStream {
  /** Limit in inferences a second when the round began; null for no limit. */
  readonly grantedFps: number | null;
  /** Its host is alive, ready or draining. */
  readonly isRunning: boolean;
}

/** What is kept of a pipeline from one round to the next. */
export interface PipelineMemory {
  readonly rateCut: RateCut | null;
  readonly rateChangedMs: number;
  readonly rebalancedMs: number;
}

export interface PipelineRound {
  readonly streams: readonly PlannedStream[];
  /** Of the ready hosts. */
  readonly rooms: ReadonlyMap<string, Room>;
  /** Null in the first round of a leader. */
  readonly memory: PipelineMemory | null;
  readonly nowMs: number;
  /** Whether rates may be lowered and streams refused yet. */
  readonly isSettled: boolean;
  readonly budget: MoveBudget;
  readonly options: PlanOptions;
}

export interface PipelinePlan {
  /** Host of each placed stream from now on. */
  readonly hosts: ReadonlyMap<string, string>;
  /** Inferences a second of each stream. */
  readonly rates: ReadonlyMap<string, number>;
  /** Streams that no host has room for, even at the floor. */
  readonly refused: ReadonlySet<string>;
  readonly memory: PipelineMemory;
}

/**
 * Plans the streams of one pipeline. Rates fall at once, for all streams of a priority together. Streams move as the budget
 * allows. Rates rise after `restoreAfterMs`, in one step, and only once no stream has to move first.
 */
export function planPipeline(round: PipelineRound): PipelinePlan {
  const { streams, rooms, nowMs, budget, options } = round;
  const ladder = new RateLadder(streams);
  const memory = round.memory ?? inherited(streams, ladder, nowMs);
  const { places, rung, refused } = choose(round, ladder, memory);
  const rates = new Map(streams.map((stream) => [stream.id, ladder.rateAt(stream, rung)]));

  const hosts = new Map<string, string>();
  for (const { id, currentHost } of streams) if (currentHost !== null && !refused.has(id)) hosts.set(id, currentHost);
  const loads = loadsOf(hosts, rates, rooms);
  const { moved, parked } = moveStreams(wantedMoves(streams, places, rates), rooms, loads, budget);
  for (const { id, to } of moved) hosts.set(id, to);
  if (parked !== null) hosts.delete(parked.id);

  let { rebalancedMs } = memory;
  const isQuiet = moved.length === 0 && parked === null && refused.size === 0 && !budget.isEmpty;
  if (isQuiet && nowMs - rebalancedMs >= options.rebalanceEveryMs) {
    const move = rebalance(streams, rooms, { hosts, rates, loads }, options.rebalanceGap);
    if (move !== null) {
      budget.take();
      hosts.set(move.id, move.to);
      rebalancedMs = nowMs;
    }
  }
  const hasChanged = rung !== ladder.rungOf(memory.rateCut);
  const rateChangedMs = hasChanged ? nowMs : memory.rateChangedMs;
  return { hosts, rates, refused, memory: { rateCut: ladder.cutAt(rung), rateChangedMs, rebalancedMs } };
}

interface Choice {
  readonly places: Places;
  /** The rung in force: that of `places`, or a higher one while streams still have to move there. */
  readonly rung: number;
  readonly refused: ReadonlySet<string>;
}

function choose(round: PipelineRound, ladder: RateLadder, memory: PipelineMemory): Choice {
  const { streams, rooms, nowMs, isSettled, options } = round;
  const finder = new PlaceFinder(streams, rooms, ladder);
  const rung = ladder.rungOf(memory.rateCut);
  const same = finder.all(rung);
  if (same === null) {
    if (!isSettled) return { places: finder.some(rung), rung, refused: new Set() };
    // Without a host there is no capacity to share, and lower rates would only slow down the start on the first host.
    if (rooms.size === 0)
      return { places: { rung, hosts: new Map() }, rung, refused: new Set(streams.map(({ id }) => id)) };
    const lower = finder.lowest(rung + 1, ladder.lastRung);
    if (lower !== null) return { places: lower, rung: lower.rung, refused: new Set() };
    const places = finder.some(ladder.lastRung);
    return {
      places,
      rung: places.rung,
      refused: new Set(streams.map(({ id }) => id).filter((id) => !places.hosts.has(id))),
    };
  }
  if (rung > 0 && nowMs - memory.rateChangedMs >= options.restoreAfterMs) {
    const higher = finder.lowest(0, rung - 1, 1 - options.restoreMargin);
    if (higher !== null) {
      const mustMove = streams.some(({ id, currentHost }) => higher.hosts.get(id) !== currentHost);
      return { places: higher, rung: mustMove ? rung : higher.rung, refused: new Set() };
    }
  }
  return { places: same, rung, refused: new Set() };
}

/** A new leader continues with the rates that it finds. */
function inherited(streams: readonly PlannedStream[], ladder: RateLadder, nowMs: number): PipelineMemory {
  const rungs = streams.map((stream) =>
    stream.grantedFps === null || !stream.isRunning ? 0 : ladder.rungAllowing(stream, stream.grantedFps),
  );
  const rung = rungs.reduce((highest, one) => Math.max(highest, one), 0);
  return { rateCut: ladder.cutAt(rung), rateChangedMs: nowMs, rebalancedMs: nowMs };
}

function loadsOf(
  hosts: ReadonlyMap<string, string>,
  rates: ReadonlyMap<string, number>,
  rooms: ReadonlyMap<string, Room>,
): Map<string, number> {
  const loads = new Map([...rooms.keys()].map((hostId) => [hostId, 0]));
  for (const [id, hostId] of hosts) if (loads.has(hostId)) loads.set(hostId, loads.get(hostId)! + rates.get(id)!);
  return loads;
}

function wantedMoves(
  streams: readonly PlannedStream[],
  { hosts }: Places,
  rates: ReadonlyMap<string, number>,
): MovingStream[] {
  return streams.flatMap(({ id, priority, currentHost, isRunning }) => {
    const to = hosts.get(id);
    if (to === undefined || to === currentHost) return [];
    return [{ id, priority, from: currentHost, to, fps: rates.get(id)!, isUnplaced: !isRunning }];
  });
}

/** A move must close at least this much of the gap, or it is not worth the seconds without results. */
const MIN_GAIN = 0.1;

/**
 * Finds the move that brings the relative loads of the fullest and the emptiest host closest together; null if none is worth it.
 *
 * @param plan - host and rate of each stream, and the load of each host.
 * @param gap - difference in relative load up to which nothing is moved.
 */
function rebalance(
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

interface Places {
  readonly rung: number;
  /** Host of each placed stream. */
  readonly hosts: ReadonlyMap<string, string>;
}

/**
 * Finds hosts for the streams of one pipeline: with few moves, and preferring moves to lower rates.
 */
class PlaceFinder<T extends PackedStream> {
  readonly #rooms: ReadonlyMap<string, Room>;
  readonly #ladder: RateLadder;
  readonly #streams: readonly T[];
  readonly #orders = new Map<PackOrder, readonly T[]>();

  constructor(streams: readonly T[], rooms: ReadonlyMap<string, Room>, ladder: RateLadder) {
    this.#rooms = rooms;
    this.#ladder = ladder;
    this.#streams = streams;
  }

  /** @returns places for all streams at a rung, within the share `fill` of every room; null if they do not fit. */
  all(rung: number, fill = 1): Places | null {
    const rateOf = (stream: T): number => this.#ladder.rateAt(stream, rung);
    const hosts =
      currentPlaces(this.#streams, this.#rooms, rateOf, fill) ??
      packStreams(this.#inOrder('stay'), this.#rooms, rateOf, fill, false) ??
      packStreams(this.#inOrder('yield'), this.#rooms, rateOf, fill, false);
    return hosts === null ? null : { rung, hosts };
  }

  /** @returns places for as many as possible, higher priorities first. */
  some(rung: number): Places {
    const hosts = packStreams(
      this.#inOrder('yield'),
      this.#rooms,
      (stream) => this.#ladder.rateAt(stream, rung),
      1,
      true,
    )!;
    return { rung, hosts };
  }

  /**
   * Binary search over the rungs.
   *
   * @returns places at the lowest rung from `from` to `to` at which all streams fit; null if they fit at none.
   */
  lowest(from: number, to: number, fill = 1): Places | null {
    let found: Places | null = null;
    for (let [low, high] = [from, to]; low <= high; ) {
      const middle = (low + high) >> 1;
      const places = this.all(middle, fill);
      if (places === null) low = middle + 1;
      else [found, high] = [places, middle - 1];
    }
    return found;
  }

  /** Sorts lazily: in most rounds all streams stay where they are. */
  #inOrder(order: PackOrder): readonly T[] {
    const known = this.#orders.get(order);
    if (known !== undefined) return known;
    const sorted = inOrder(this.#streams, this.#rooms, order);
    this.#orders.set(order, sorted);
    return sorted;
  }
}
