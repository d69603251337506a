import type { PublishedFrame } from '../../core/frame.ts';

/** Results kept while a picture is still being encoded. */
const KEPT = 32;

/**
 * Pairs a preview picture with the boxes of the same frame; either can arrive first. A picture whose frame was dropped
 * is discarded when the next one arrives.
 */
export class PreviewPairs {
  readonly #onPair: (frame: PublishedFrame, jpeg: Uint8Array) => void;
  readonly #published = new Map<number, PublishedFrame>();
  #picture: { frame: number; jpeg: Uint8Array } | null = null;

  constructor(onPair: (frame: PublishedFrame, jpeg: Uint8Array) => void) {
    this.#onPair = onPair;
  }

  onPicture(frame: number, jpeg: Uint8Array): void {
    const result = this.#published.get(frame);
    if (result === undefined) this.#picture = { frame, jpeg };
    else this.#onPair(result, jpeg);
  }

  onPublished(frame: PublishedFrame): void {
    this.#published.set(frame.frame, frame);
    if (this.#published.size > KEPT) this.#published.delete(this.#published.keys().next().value!);
    if (this.#picture?.frame !== frame.frame) return;
    this.#onPair(frame, this.#picture.jpeg);
    this.#picture = null;
  }
}
