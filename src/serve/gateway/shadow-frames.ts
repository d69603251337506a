import type { ShadowObservation } from '../../wire/protocol/rollout-records.ts';

/** Frames of one stream that have a picture or the boxes, not both yet. */
const KEPT = 32;

interface Waiting {
  /** Frames whose picture was sent. */
  readonly pictures: Set<number>;
  readonly boxes: Map<number, ShadowObservation>;
}

/**
 * Finds the frames that have a preview picture as well as the boxes of both versions: a page can only draw these. The picture
 * comes from one thread and the boxes from another, so either can be first.
 */
export class ShadowFrames {
  readonly #onFound: (found: ShadowObservation) => void;
  readonly #byStream = new Map<string, Waiting>();

  constructor(onFound: (found: ShadowObservation) => void) {
    this.#onFound = onFound;
  }

  addPicture(stream: string, frame: number): void {
    const { pictures, boxes } = this.#waiting(stream);
    const found = boxes.get(frame);
    if (found !== undefined) {
      boxes.delete(frame);
      this.#onFound(found);
      return;
    }
    pictures.add(frame);
    if (pictures.size > KEPT) pictures.delete(pictures.values().next().value!);
  }

  addBoxes(found: ShadowObservation): void {
    const { pictures, boxes } = this.#waiting(found.stream);
    if (pictures.delete(found.frame)) {
      this.#onFound(found);
      return;
    }
    boxes.set(found.frame, found);
    if (boxes.size > KEPT) boxes.delete(boxes.keys().next().value!);
  }

  /** Drops waiting frames of a stream that is gone. */
  forget(stream: string): void {
    this.#byStream.delete(stream);
  }

  #waiting(stream: string): Waiting {
    const known = this.#byStream.get(stream) ?? { pictures: new Set<number>(), boxes: new Map() };
    this.#byStream.set(stream, known);
    return known;
  }
}
