import type { InFlightFrame } from '../stream/in-flight-frame.ts';

interface Entry {
  /** The frame whose result it waits for. */
  readonly owner: InFlightFrame;
  /** Packed rows in source pixels; null while the first such frame is being inferred. */
  rows: Float32Array | null;
  /** Boxes with lower scores are not among the rows. */
  scoreThreshold: number;
  /** Its rows have masks, if their model makes any. */
  hasMasks: boolean;
  /** Equal frames that wait for the first one. */
  waiting: InFlightFrame[];
}

/** Packed rows in source pixels; boxes below the threshold are not among them. */
export interface CachedResult {
  readonly rows: Float32Array;
  readonly scoreThreshold: number;
  /** Default false. */
  readonly hasMasks?: boolean;
}

/** What a cache knows about a frame. */
export type CacheAnswer =
  | { readonly kind: 'rows'; readonly rows: Float32Array }
  /** An equal frame is being inferred; this one is kept until `settle` returns it. */
  | { readonly kind: 'pending' }
  | { readonly kind: 'unknown' };

const UNKNOWN: CacheAnswer = { kind: 'unknown' };
const PENDING: CacheAnswer = { kind: 'pending' };
const NONE: readonly InFlightFrame[] = [];

/**
 * Results of one model instance by the content of the model's input, across all its streams. Bounded: the entry that was used
 * least recently is removed. The key has the picture's size and its place in the input besides the hash, because equal inputs
 * of pictures of different sizes have different boxes in source pixels. A frame with several inputs has the place of each.
 */
export class ResultCache {
  readonly #limit: number;
  readonly #entries = new Map<string, Entry>();

  /** @param limit - results kept, at least 1. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Looks a frame up. After `unknown` the caller infers the frame and calls `settle`.
   *
   * @param scoreThreshold - boxes from this score are needed.
   * @param hasMasks - masks are needed.
   */
  ask(frame: InFlightFrame, scoreThreshold: number, hasMasks = false): CacheAnswer {
    const key = keyOf(frame);
    if (key === null) return UNKNOWN;
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.scoreThreshold > scoreThreshold || (hasMasks && !entry.hasMasks)) {
      // Frames that wait for the old entry are settled with the new one.
      this.#put(key, { owner: frame, rows: null, scoreThreshold, hasMasks, waiting: entry?.waiting ?? [] });
      return UNKNOWN;
    }
    if (entry.rows === null) {
      entry.waiting.push(frame);
      return PENDING;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return { kind: 'rows', rows: entry.rows };
  }

  /**
   * Ends the wait for a frame that was inferred or dropped.
   *
   * @param result - its rows, which are copied, and the threshold of its inference; null if it was dropped.
   * @returns the frames that waited for it: they get the same rows, or must be inferred.
   */
  settle(frame: InFlightFrame, result: CachedResult | null): readonly InFlightFrame[] {
    const key = keyOf(frame);
    const entry = key === null ? undefined : this.#entries.get(key);
    if (key === null || entry === undefined || entry.rows !== null) return NONE;
    // Another frame is being inferred for this entry. A result without the weak boxes that it asked for is no answer.
    const isOwn = entry.owner === frame;
    if (!isOwn && (result === null || result.scoreThreshold > entry.scoreThreshold)) return NONE;
    if (!isOwn && entry.hasMasks && result?.hasMasks !== true) return NONE;
    const { waiting } = entry;
    entry.waiting = [];
    if (result === null) this.#entries.delete(key);
    else {
      entry.rows = result.rows.slice();
      entry.scoreThreshold = result.scoreThreshold;
      entry.hasMasks = result.hasMasks === true;
    }
    return waiting;
  }

  #put(key: string, entry: Entry): void {
    this.#entries.set(key, entry);
    if (this.#entries.size <= this.#limit) return;
    for (const [oldest, { rows }] of this.#entries) {
      // An entry that others wait for stays until it is settled.
      if (rows === null) continue;
      this.#entries.delete(oldest);
      if (this.#entries.size <= this.#limit) return;
    }
  }
}

/** Null if the frame's input was not hashed. */
function keyOf({ meta, ring, slot }: InFlightFrame): string | null {
  const { hashHigh, hashLow, width, height, placement } = meta;
  if (hashHigh === 0 && hashLow === 0) return null;
  const { scaleX, scaleY, offsetX, offsetY } = placement;
  const key = `${hashHigh} ${hashLow} ${width}x${height} ${scaleX} ${scaleY} ${offsetX} ${offsetY}`;
  const { views } = ring.slots.shape;
  if (views === undefined) return key;
  const places = Array.from({ length: views }, (_, view) => Object.values(ring.slots.readView(slot, view).bounds));
  return `${key} ${places.join(' ')}`;
}
