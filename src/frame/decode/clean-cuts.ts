import type { Packet } from './packet-rows.ts';

/** A key frame at which a file may be cut. */
export interface Cut {
  readonly atUs: number;
  /** Number of frames before it. */
  readonly frame: number;
}

export interface CutList {
  readonly cuts: readonly Cut[];
  /** Frames of the whole file. */
  readonly frames: number;
  /** True if any packet's presentation time differs from its decoding time. */
  readonly isReordered: boolean;
  /** The closest pair of possible cuts, and the number of frames between them. */
  readonly shortest: { readonly from: Cut | null; readonly to: Cut; readonly frames: number };
}

/** Codecs reorder up to 16 frames; a packet displaced by more than this counts as out of order. */
const MAX_REORDERED = 64;
/** Among key frames closer together than this share of the target distance, only one is kept. */
const SPACING_SHARE = 1 / 32;
/** Segments that get shorter towards the end take this share of the remaining time each. */
const TAPER_SHARE = 1 / 4;
/** They take at least this share of the target distance, because each costs a decoder start. */
const SHORTEST_SHARE = 1 / 8;

/**
 * Finds the key frames at which a file may be cut so that each segment decodes exactly as it does within the whole file. At
 * such a key frame all earlier packets are presented earlier and all later packets later, so no later frame depends on an
 * earlier one. A key frame followed by pictures that are presented before it (an open GOP) does not qualify.
 */
export class CleanCuts {
  readonly #distanceUs: number;
  readonly #possible: Cut[] = [];
  readonly #recent = new Set<number>();
  #frames = 0;
  #startUs = 0;
  #newestUs = Number.NEGATIVE_INFINITY;
  /** A packet with a time up to this comes too late: it makes the file irregular. */
  #settledUs = Number.NEGATIVE_INFINITY;
  #isReordered = false;
  #isIrregular = false;

  /** @param distanceUs - target media time of a segment. */
  constructor(distanceUs: number) {
    this.#distanceUs = distanceUs;
  }

  /** Adds the next packet, in decoding order. */
  add({ ptsUs, isKey, isReordered, isOdd }: Packet): void {
    this.#isReordered ||= isReordered;
    const isFirst = this.#frames === 0;
    if (ptsUs === null || isOdd || (isFirst && !isKey)) this.#isIrregular = true;
    if (this.#isIrregular) return;
    const atUs = ptsUs!;
    if (isFirst) this.#startUs = atUs;
    if (isKey && atUs > this.#newestUs) {
      this.#settledUs = this.#newestUs;
      this.#recent.clear();
      this.#propose({ atUs, frame: this.#frames });
    } else {
      while (this.#possible.length > 0 && this.#possible.at(-1)!.atUs > atUs) this.#possible.pop();
    }
    if (atUs <= this.#settledUs || this.#recent.has(atUs)) this.#isIrregular = true;
    this.#remember(atUs);
    this.#newestUs = Math.max(this.#newestUs, atUs);
    this.#frames += 1;
  }

  #propose(cut: Cut): void {
    const lastUs = this.#possible.at(-1)?.atUs ?? this.#startUs;
    if (cut.atUs - lastUs >= this.#distanceUs * SPACING_SHARE) this.#possible.push(cut);
  }

  #remember(atUs: number): void {
    this.#recent.add(atUs);
    if (this.#recent.size <= MAX_REORDERED) return;
    const [oldestUs] = this.#recent;
    this.#recent.delete(oldestUs!);
    this.#settledUs = Math.max(this.#settledUs, oldestUs!);
  }

  /**
   * Chooses the cuts, the target distance or slightly more apart; the last segment is at least half as long.
   *
   * @param tapers - makes the segments shorter towards the end, so that all workers finish at about the same time (guided
   *   self-scheduling, Polychronopoulos and Kuck 1987).
   * @returns null if the file must not be split: it is short, it has no clean key frame, its first packet is not a key
   *   frame, or a packet has no time, is damaged, is not for display, shares its time with another one or is out of order.
   */
  choose(tapers: boolean): CutList | null {
    if (this.#isIrregular) return null;
    const cuts: Cut[] = [];
    let lastUs = this.#startUs;
    for (const cut of this.#possible) {
      const targetUs = tapers ? this.#taperedUs(this.#newestUs - lastUs) : this.#distanceUs;
      if (cut.atUs - lastUs < targetUs || this.#newestUs - cut.atUs < targetUs / 2) continue;
      cuts.push(cut);
      lastUs = cut.atUs;
    }
    if (cuts.length === 0) return null;
    return { cuts, frames: this.#frames, isReordered: this.#isReordered, shortest: this.#shortest() };
  }

  /**
   * Finds the last possible cut at or before a media time.
   *
   * @returns null if there is none, or if the file must not be split, as in `choose`.
   */
  before(atUs: number): (Pick<CutList, 'isReordered' | 'shortest'> & { readonly cut: Cut }) | null {
    if (this.#isIrregular) return null;
    const cut = this.#possible.findLast((possible) => possible.atUs <= atUs);
    return cut === undefined ? null : { cut, isReordered: this.#isReordered, shortest: this.#shortest() };
  }

  #taperedUs(leftUs: number): number {
    return Math.min(this.#distanceUs, Math.max(leftUs * TAPER_SHARE, this.#distanceUs * SHORTEST_SHARE));
  }

  #shortest(): CutList['shortest'] {
    return this.#possible
      .map((to, i) => {
        const from = this.#possible[i - 1] ?? null;
        return { from, to, frames: to.frame - (from?.frame ?? 0) };
      })
      .reduce((a, b) => (b.frames < a.frames ? b : a));
  }
}
