import { inOrder, type PackedStream, packStreams, type Room } from './pack-streams.ts';
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
  readonly #staying: readonly T[];
  readonly #yielding: readonly T[];

  constructor(streams: readonly T[], rooms: ReadonlyMap<string, Room>, ladder: RateLadder) {
    this.#rooms = rooms;
    this.#ladder = ladder;
    this.#staying = inOrder(streams, rooms, 'stay');
    this.#yielding = inOrder(streams, rooms, 'yield');
  }

  /** @returns places for all streams at a rung, in a share `fill` of every room; null where there are none. */
  all(rung: number, fill = 1): Places | null {
    const rateOf = (stream: T): number => this.#ladder.rateAt(stream, rung);
    const homes =
      packStreams(this.#staying, this.#rooms, rateOf, fill, false) ??
      packStreams(this.#yielding, this.#rooms, rateOf, fill, false);
    return homes === null ? null : { rung, homes };
  }

  /** @returns places for as many as possible, higher priorities first. */
  some(rung: number): Places {
    const homes = packStreams(this.#yielding, this.#rooms, (stream) => this.#ladder.rateAt(stream, rung), 1, true)!;
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
}
