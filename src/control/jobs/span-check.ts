import type { SegmentSpan } from '../../protocol/fleet.ts';

/** Times are rounded to whole microseconds on both sides. */
const ROUNDING_US = 1;

/**
 * Holds what a segment decoded to against what the file's index promised. Any difference means that the cut was no clean one,
 * or that the file is damaged: then its parts do not add up to what an uninterrupted run gives.
 */
export class SpanCheck {
  readonly #span: SegmentSpan;
  readonly #every: number;
  #frames = 0;
  #lastUs = Number.NEGATIVE_INFINITY;
  #size: string | null = null;

  constructor(span: SegmentSpan, every: number) {
    this.#span = span;
    this.#every = every;
  }

  /** @returns what is wrong with the next frame; null where nothing is. */
  see({ ptsUs, width, height }: { ptsUs: number; width: number; height: number }): string | null {
    const { fromUs, toUs, firstFrame } = this.#span;
    const isFirst = this.#frames === 0;
    const lastUs = this.#lastUs;
    this.#frames += 1;
    this.#lastUs = ptsUs;
    if (fromUs !== null) {
      const mustBegin = isFirst && firstFrame % this.#every === 0;
      if (ptsUs < fromUs - ROUNDING_US || (mustBegin && ptsUs > fromUs + ROUNDING_US))
        return `frame ${this.#frames - 1} is at ${ptsUs} us, the segment begins at ${fromUs} us`;
    }
    if (toUs !== null && ptsUs >= toUs) return `a frame is at ${ptsUs} us, the segment ends at ${toUs} us`;
    if (ptsUs <= lastUs) return `a frame at ${ptsUs} us follows one at ${lastUs} us`;
    const size = `${width}x${height}`;
    this.#size ??= size;
    return size === this.#size ? null : `the picture changes from ${this.#size} to ${size}`;
  }

  /** @returns what is wrong with the segment as a whole; null where nothing is. */
  end(decodeErrors: number): string | null {
    if (decodeErrors > 0) return `ffmpeg met damaged data ${decodeErrors} times`;
    const expected = this.expectedFrames;
    if (expected === null || expected === this.#frames) return null;
    return `${this.#frames} frames came, the index lists ${expected}`;
  }

  /** Frames that are taken of those listed; null where they are not listed. */
  get expectedFrames(): number | null {
    const { firstFrame, frames } = this.#span;
    if (frames === undefined) return null;
    return Math.ceil((firstFrame + frames) / this.#every) - Math.ceil(firstFrame / this.#every);
  }
}
