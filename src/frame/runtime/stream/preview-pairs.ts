import type { PreviewPicture, PublishedFrame } from '../../../base/core/frame.ts';
import type { MonoMs } from '../../../base/core/units.ts';
import type { LanePreview } from '../../../wire/protocol/threads.ts';

/** Results kept while a picture is still being encoded. */
const KEPT = 32;
/** Longest wait of a picture for the result of its frame, once something happens: a detector without time must not hide the camera. */
const MOST_WAIT_MS = 500;

/**
 * Adds boxes to preview pictures: those of the same frame, whichever of both arrives first. A picture whose frame gets no result has the
 * newest result that is not newer. Pictures keep their order.
 */
export class PreviewPairs {
  readonly #stream: { readonly id: string; readonly run: string };
  readonly #onPair: (picture: PreviewPicture) => void;
  readonly #now: () => MonoMs;
  readonly #published = new Map<number, PublishedFrame>();
  readonly #waiting: { readonly preview: LanePreview; readonly sinceMs: MonoMs }[] = [];
  #newest = -1;

  constructor(
    stream: { readonly id: string; readonly run: string },
    onPair: (picture: PreviewPicture) => void,
    now: () => MonoMs,
  ) {
    this.#stream = stream;
    this.#onPair = onPair;
    this.#now = now;
  }

  onPicture(preview: LanePreview): void {
    this.#waiting.push({ preview, sinceMs: this.#now() });
    this.#pair();
  }

  onPublished(frame: PublishedFrame): void {
    this.#published.set(frame.frame, frame);
    this.#newest = frame.frame;
    if (this.#published.size > KEPT) this.#published.delete(this.#published.keys().next().value!);
    if (this.#waiting.length > 0) this.#pair();
  }

  /** Discards the pictures that wait: they show what is hidden from now on. */
  forgetPictures(): void {
    this.#waiting.length = 0;
  }

  /** Passes on the pictures that need not wait any more, oldest first. */
  #pair(): void {
    for (;;) {
      const [oldest] = this.#waiting;
      if (oldest === undefined) return;
      const { preview, sinceMs } = oldest;
      // Results come in order, so after a later one that of its frame does not come.
      const isFinal = !preview.isFrame || this.#newest >= preview.frame;
      if (!isFinal && this.#now() - sinceMs < MOST_WAIT_MS) return;
      this.#waiting.shift();
      this.#onPair(this.#paired(preview));
    }
  }

  #paired(preview: LanePreview): PreviewPicture {
    const { jpeg, frame, isFrame, ptsUs, width, height } = preview;
    let result: PublishedFrame | undefined;
    for (const published of this.#published.values())
      if (published.frame <= frame && published.ptsUs <= ptsUs) result = published;
    if (isFrame && result?.frame === frame) return { frame: result, jpeg };
    if (result !== undefined) return { frame: result, jpeg, pictureUs: ptsUs };
    const now = this.#now();
    const times = { captured: now, decoded: now, preprocessed: now, batched: now, inferred: now, published: now };
    const { id: streamId, run } = this.#stream;
    const none = { streamId, run, frame, ptsUs, width, height, by: 'inferred', detections: [], times } as const;
    return { frame: none, jpeg, hasResult: false };
  }
}
