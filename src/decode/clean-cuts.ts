import type { Packet } from './packet-rows.ts';

/** A key frame at which a file may be cut. */
export interface Cut {
  readonly atUs: number;
  /** Frames of the file before it. */
  readonly frame: number;
}

export interface CutList {
  readonly cuts: readonly Cut[];
  /** Frames of the whole file. */
  readonly frames: number;
  /** Does the container show any packet at another time than it is decoded? */
  readonly isReordered: boolean;
  /** The fewest frames between two places where it may be cut, with their number. */
  readonly shortest: { readonly from: Cut | null; readonly to: Cut; readonly frames: number };
}

/** Codecs reorder up to 16 frames; one that comes later than this behind its place is out of order. */
const MOST_REORDERED = 64;
/** Of key frames that are closer together than this share of the wanted distance, one is remembered. */
const CANDIDATE_SHARE = 1 / 32;
/** Where the parts taper, each takes this share of what is left... */
const TAPER_SHARE = 1 / 4;
/** ... and never less than this share of the wanted distance: each costs the start of a decoder. */
const SHORTEST_SHARE = 1 / 8;

/**
 * Finds the key frames at which a file may be cut so that each part decodes to what it is in the whole: all packets before
 * are shown before, all packets after are shown after. Behind such a key frame nothing needs what was before it; one that is
 * followed by pictures to be shown earlier (an open group of pictures) is none.
 */
export class CleanCuts {
  readonly #distanceUs: number;
  readonly #candidates: Cut[] = [];
  readonly #recent = new Set<number>();
  #frames = 0;
  #startUs = 0;
  #newestUs = Number.NEGATIVE_INFINITY;
  /** No packet may have a time up to this any more. */
  #settledUs = Number.NEGATIVE_INFINITY;
  #isReordered = false;
  #isIrregular = false;

  /** @param distanceUs - media time that the parts should have. */
  constructor(distanceUs: number) {
    this.#distanceUs = distanceUs;
  }

  /** Takes the next packet in the order of decoding. */
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
      while (this.#candidates.length > 0 && this.#candidates.at(-1)!.atUs > atUs) this.#candidates.pop();
    }
    if (atUs <= this.#settledUs || this.#recent.has(atUs)) this.#isIrregular = true;
    this.#remember(atUs);
    this.#newestUs = Math.max(this.#newestUs, atUs);
    this.#frames += 1;
  }

  #propose(cut: Cut): void {
    const lastUs = this.#candidates.at(-1)?.atUs ?? this.#startUs;
    if (cut.atUs - lastUs >= this.#distanceUs * CANDIDATE_SHARE) this.#candidates.push(cut);
  }

  #remember(atUs: number): void {
    this.#recent.add(atUs);
    if (this.#recent.size <= MOST_REORDERED) return;
    const [oldestUs] = this.#recent;
    this.#recent.delete(oldestUs!);
    this.#settledUs = Math.max(this.#settledUs, oldestUs!);
  }

  /**
   * Chooses the cuts, the wanted distance apart or a little more; the last part is at least half as long.
   *
   * @param tapers - the parts get shorter towards the end, so that those who share them end at about the same time (guided
   *   self-scheduling, Polychronopoulos and Kuck 1987).
   * @returns null where the file must stay whole: it is short, has no clean key frame, a packet without a time, damaged, not
   *   to be shown, twice at the same time or out of order, or a first packet that is no key frame.
   */
  choose(tapers: boolean): CutList | null {
    if (this.#isIrregular) return null;
    const cuts: Cut[] = [];
    let lastUs = this.#startUs;
    for (const cut of this.#candidates) {
      const wantedUs = tapers ? this.#taperedUs(this.#newestUs - lastUs) : this.#distanceUs;
      if (cut.atUs - lastUs < wantedUs || this.#newestUs - cut.atUs < wantedUs / 2) continue;
      cuts.push(cut);
      lastUs = cut.atUs;
    }
    if (cuts.length === 0) return null;
    return { cuts, frames: this.#frames, isReordered: this.#isReordered, shortest: this.#shortest() };
  }

  #taperedUs(leftUs: number): number {
    return Math.min(this.#distanceUs, Math.max(leftUs * TAPER_SHARE, this.#distanceUs * SHORTEST_SHARE));
  }

  #shortest(): CutList['shortest'] {
    return this.#candidates
      .map((to, i) => {
        const from = this.#candidates[i - 1] ?? null;
        return { from, to, frames: to.frame - (from?.frame ?? 0) };
      })
      .reduce((a, b) => (b.frames < a.frames ? b : a));
  }
}
