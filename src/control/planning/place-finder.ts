import { currentPlaces, inOrder, type PackedStream, type PackOrder, packStreams, type Room } from './pack-streams.ts';
import type { RateLadder } from './rate-ladder.ts';

export interface Places {
  readonly rung: number;
  /** Host of each placed stream. */
  readonly hosts: ReadonlyMap<string, string>;
}

/**
 * Finds hosts for the streams of one pipeline: with few moves, and preferring moves to lower rates.
 */
export class PlaceFinder<T extends PackedStream> {
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
