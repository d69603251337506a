import { asTheyAre, inOrder, type PackedStream, type PackOrder, packStreams, type Room } from './pack-streams.ts';
import type { RateLadder } from './rate-ladder.ts';

export interface Places {
  readonly rung: number;
  /** Host of each stream that has one. */
  readonly homes: ReadonlyMap<string, string>;
}

/**
 * Finds places for the streams of one pipeline: with the fewest moves that do, and moves sooner than lower rates.
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

  /** @returns places for all streams at a rung, in a share `fill` of every room; null where there are none. */
  all(rung: number, fill = 1): Places | null {
    const rateOf = (stream: T): number => this.#ladder.rateAt(stream, rung);
    const homes =
      asTheyAre(this.#streams, this.#rooms, rateOf, fill) ??
      packStreams(this.#inOrder('stay'), this.#rooms, rateOf, fill, false) ??
      packStreams(this.#inOrder('yield'), this.#rooms, rateOf, fill, false);
    return homes === null ? null : { rung, homes };
  }

  /** @returns places for as many as possible, higher priorities first. */
  some(rung: number): Places {
    const homes = packStreams(
      this.#inOrder('yield'),
      this.#rooms,
      (stream) => this.#ladder.rateAt(stream, rung),
      1,
      true,
    )!;
    return { rung, homes };
  }

  /**
   * @returns places at the lowest rung from `from` to `to` that has places for all; null where none has. By halves: a
   * search over rungs costs the logarithm of their number.
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

  /** Sorted when it is needed: most rounds find everybody where they are to stay. */
  #inOrder(order: PackOrder): readonly T[] {
    const known = this.#orders.get(order);
    if (known !== undefined) return known;
    const sorted = inOrder(this.#streams, this.#rooms, order);
    this.#orders.set(order, sorted);
    return sorted;
  }
}
