import type { SegmentSpan } from '../../wire/protocol/fleet.ts';

/** Times are rounded to whole microseconds on both sides. */
const ROUNDING_US = 1;

/**
 * Compares the decoded frames of a segment with the file's index. Any difference means that the cut is not clean or the file
 * is damaged: then its segments would not add up to the result of an uninterrupted run.
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

  /** Checks the next frame. @returns what is wrong with it; null if it is correct. */
  next({ ptsUs, width, height }: { ptsUs: number; width: number; height: number }): string | null {
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

  /** Checks the segment after its last frame. @returns what is wrong with it; null if it is correct. */
  end(decodeErrors: number): string | null {
    if (decodeErrors > 0) return `ffmpeg reported ${decodeErrors} decoding errors`;
    const expected = this.expectedFrames;
    if (expected === null || expected === this.#frames) return null;
    return `decoded ${this.#frames} frames, the index lists ${expected}`;
  }

  /** Frames expected after `every`; null if the index does not list them. */
  get expectedFrames(): number | null {
    const { firstFrame, frames } = this.#span;
    if (frames === undefined) return null;
    return Math.ceil((firstFrame + frames) / this.#every) - Math.ceil(firstFrame / this.#every);
  }
}
