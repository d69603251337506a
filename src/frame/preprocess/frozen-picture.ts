import { hashInput } from './input-hash.ts';

/** A lively picture that stays the same for this long is frozen. */
const LEAST_MS = 8_000;
/** So many times as long as it has ever stayed the same without being frozen. */
const USUAL_FACTOR = 4;
/** A picture that was hardly ever seen to change. */
const STILL_MS = 60_000;
/** However still a camera is, it is called frozen after this long. */
const MOST_MS = 600_000;
/** Changes after which a picture is known to be a lively one. */
const LIVELY_CHANGES = 16;
/** Mean difference, in levels, up to which a picture has not gone on: an encoder has only written it again. */
const SAME_LEVELS = 1.5;
/** New pictures in a row after which a frozen one goes on, however little they differ. */
const LIVE_CHANGES = 4;

/**
 * Tells a frozen picture from a still scene. A sensor has noise, so that it never gives the same picture again. An encoder with few bits
 * repeats a still scene exactly, but only until its next key frame, for which it looks again; that of a frozen picture is written like the
 * last one. So pictures are frozen while none is new, for longer than this camera usually gives no new one.
 */
export class FrozenPicture {
  /** When each of the newest pictures was last seen, by its hash, in that order. */
  readonly #seenMs = new Map<string, number>();
  #last: Uint8Array | null = null;
  #lastMs = 0;
  /** When the last new picture came. */
  #newMs = 0;
  #newInARow = 0;
  #longestMs = 0;
  #changes = 0;
  #frozenSinceMs: number | null = null;

  /** @returns since when the picture is frozen; null if it is not. */
  update(samples: Uint8Array, nowMs: number): number | null {
    const last = this.#last;
    const hasGoneOn = last === null || meanDifference(last, samples) > SAME_LEVELS;
    const isNew = this.#isNew(samples, nowMs) || hasGoneOn;
    if (isNew) this.#onNew(hasGoneOn, nowMs);
    else this.#newInARow = 0;
    this.#last = samples;
    this.#lastMs = nowMs;
    if (!isNew && nowMs - this.#newMs >= this.#limitMs) this.#frozenSinceMs ??= this.#newMs;
    return this.#frozenSinceMs;
  }

  /** No picture came for a while: the next one is compared with none. */
  interrupt(): void {
    this.#seenMs.clear();
    this.#last = null;
    this.#frozenSinceMs = null;
  }

  #isNew(samples: Uint8Array, nowMs: number): boolean {
    for (const [key, seenMs] of this.#seenMs) {
      if (nowMs - seenMs <= this.#limitMs) break;
      this.#seenMs.delete(key);
    }
    const { high, low } = hashInput(samples);
    const key = `${high}/${low}`;
    const isKnown = this.#seenMs.delete(key);
    this.#seenMs.set(key, nowMs);
    return !isKnown;
  }

  #onNew(hasGoneOn: boolean, nowMs: number): void {
    const stayedMs = this.#last === null ? 0 : this.#lastMs - this.#newMs;
    this.#changes += 1;
    this.#newInARow += 1;
    if (this.#frozenSinceMs === null) this.#longestMs = Math.max(this.#longestMs, stayedMs);
    else if (hasGoneOn || this.#newInARow >= LIVE_CHANGES) {
      // After a freeze the scene has gone on. If it has not, the scene was still, and that is usual here.
      if (!hasGoneOn) this.#longestMs = Math.max(this.#longestMs, nowMs - this.#frozenSinceMs);
      this.#frozenSinceMs = null;
    }
    this.#newMs = nowMs;
  }

  get #limitMs(): number {
    const usualMs = LEAST_MS + USUAL_FACTOR * this.#longestMs;
    return Math.min(MOST_MS, this.#changes < LIVELY_CHANGES ? Math.max(STILL_MS, usualMs) : usualMs);
  }
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
}
