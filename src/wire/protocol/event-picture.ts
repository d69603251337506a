import type { Box } from '../../base/core/detection.ts';

/** at: when the event was raised, of blind cameras the first picture that shows it; before: the last one in which all was well. */
export type PictureMoment = 'at' | 'before';

/** What a kept picture of an event shows; the header `X-Picture` of its answer. Lengths are in pixels of the source. */
export interface EventPictureFacts {
  /** Which moment it is of. */
  readonly moment: PictureMoment;
  /** Wall clock, milliseconds since 1970; of a recording, when it was read. */
  readonly timeMs: number;
  /** Of the whole picture of the source. */
  readonly width: number;
  /** Of the whole picture of the source. */
  readonly height: number;
  /** The part of it that is shown. */
  readonly bounds: Box;
  /** Where the object of the event is in it; null without one. */
  readonly box: Box | null;
}

/** A small picture that is kept with an event. */
export interface KeptPicture {
  readonly facts: EventPictureFacts;
  readonly jpeg: Uint8Array;
}
