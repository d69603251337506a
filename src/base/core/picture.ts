import type { PtsUs } from './units.ts';

/** A decoded picture. */
export interface RawPicture {
  /** u8 `[height, width, 3]` RGB, in rows from top to bottom, without padding. */
  readonly data: Uint8Array;
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
}

/** A picture that a program hands over: the path of an image file, the bytes of one (JPEG, PNG, WebP …), or pixels. */
export type Picture = string | Uint8Array | RawPicture;

/** A picture as a frame of a stream. Plain data: crosses threads. */
export interface FramePicture {
  readonly picture: Picture;
  readonly frame: number;
  readonly ptsUs: PtsUs;
}
