/** A frame that is not so takes back as much as this many that are: a span counts if three quarters of its frames are so. */
const AGAINST = 3;

/**
 * A span of frames of which at least three quarters are so, from its beginning to each of its frames.
 * Frames are counted, not time, so that frames that never came say nothing.
 */
export class FrameShare {
  #credit = 0;

  /** Takes the next frame, of which the first is so. @returns false: the span is over, since too few of its frames are so. */
  take(isSo: boolean): boolean {
    this.#credit += isSo ? 1 : -AGAINST;
    return this.#credit >= 0;
  }
}
