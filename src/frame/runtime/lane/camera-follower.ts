import { NO_SHIFT, type SceneShift } from '../../../base/core/frame.ts';
import type { FrameHeader } from '../../decode/ffmpeg-log.ts';
import { CameraMotion, type PicturePart } from '../../preprocess/camera-motion.ts';
import { isSameSize } from './lane-views.ts';

type Size = Pick<FrameHeader, 'width' | 'height' | 'stored'>;

/** Follows the camera of one stream through pictures that may change their size: then one is compared with none. */
export class CameraFollower {
  /** For pictures of this size; null before the first. */
  #motion: { readonly size: Size; readonly motion: CameraMotion } | null = null;
  #shift: SceneShift;

  /** @param before - how far it had moved before the first picture. */
  constructor(before: SceneShift = NO_SHIFT) {
    this.#shift = before;
  }

  /** How far it has moved. */
  get shift(): SceneShift {
    return this.#shift;
  }

  /** @param partOf - says where the source lies in the pixels; called for the first picture of a size. */
  follow(pixels: Uint8Array, size: Size, partOf: () => PicturePart): void {
    if (this.#motion === null || !isSameSize(this.#motion.size, size))
      this.#motion = { size, motion: new CameraMotion(partOf(), this.#shift) };
    this.#shift = this.#motion.motion.update(pixels);
  }

  /** The next picture is compared with none. */
  pause(): void {
    this.#motion = null;
  }
}
