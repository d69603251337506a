import { isDeepStrictEqual } from 'node:util';
import { NO_SHIFT } from '../../../base/core/frame.ts';
import type { SlotMeta } from '../../../base/flow/slot-ring.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { LaneStream } from '../../../wire/protocol/threads.ts';
import type { StreamInput } from './stream-port.ts';

/** How far a stream has been handed over, so that another connection continues behind that frame. */
export class StreamPlace {
  /** Number of the next frame. */
  nextFrame = 0;
  /** Media time of the newest frame; 0 before the first. */
  #lastPtsUs = 0;
  /** Media time between the newest two frames. */
  #stepUs = 0;
  /** Media time at which the start of the file lies: not 0 once the stream has changed to another source or policy. */
  #shiftUs = 0;
  /** Size of the newest frame, in source pixels; null before the first. */
  size: { readonly width: number | null; readonly height: number | null } = { width: null, height: null };
  /** How far the camera had moved in the newest frame. */
  shift = NO_SHIFT;
  /** Frames since the start of a file; null if others are taken now. */
  #frames: number | null = 0;
  #isAtStart = true;

  /** Where a file was left; null at its start. */
  get after(): LaneStream['after'] {
    if (this.#isAtStart) return null;
    return { frames: this.#frames, ptsUs: (this.#lastPtsUs - this.#shiftUs) as SlotMeta['ptsUs'] };
  }

  /** What the media time of the next connection begins with. */
  mediaTime(policy: LaneStream['policy']): LaneStream['mediaTime'] {
    const isNew = this.nextFrame === 0;
    return { lastUs: this.#lastPtsUs, shiftUs: policy === 'file' ? this.#shiftUs : isNew ? 0 : null };
  }

  /** @param every - only each n-th frame is taken. */
  onFrame(meta: Pick<SlotMeta, 'frame' | 'ptsUs' | 'width' | 'height' | 'shift'>, every: number): void {
    this.nextFrame = meta.frame + every;
    this.#stepUs = meta.ptsUs - this.#lastPtsUs;
    this.#lastPtsUs = meta.ptsUs;
    this.size = meta;
    this.shift = meta.shift;
    this.#isAtStart = false;
    if (this.#frames !== null) this.#frames += 1;
  }

  /** The first connection continues a file that another process began. @param every - as in `onFrame`. */
  continueAfter({ frames, ptsUs }: NonNullable<StreamInput['startAfter']>, every: number): void {
    this.nextFrame = frames * every;
    this.#lastPtsUs = ptsUs;
    this.#frames = frames;
    this.#isAtStart = false;
  }

  /** Call it if other frames are taken from now on: only the media time says how far it was. */
  forgetCount(): void {
    if (!this.#isAtStart) this.#frames = null;
  }

  /** The next connection reads a file from the start. Its media time goes on one frame behind the newest one. */
  clear(): void {
    if (this.nextFrame > 0) this.#shiftUs = this.#lastPtsUs + Math.max(1, this.#stepUs);
    this.#frames = 0;
    this.#isAtStart = true;
  }
}

/** Returns whether two inputs have different frames, so that the place in one means nothing in the other. */
export function isOtherSource(a: StreamInput, b: StreamInput): boolean {
  const isSame =
    a.policy === b.policy &&
    a.source?.url === b.source?.url &&
    isDeepStrictEqual(a.source?.window, b.source?.window) &&
    isDeepStrictEqual(a.imagePaths, b.imagePaths);
  return !isSame;
}

/** Returns whether other frames of a source are taken. */
export function isOtherChoice(a: StreamConfig, b: StreamConfig): boolean {
  return a.every !== b.every || a.maxFps !== b.maxFps || a.decode !== b.decode;
}
