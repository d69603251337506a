import { isDeepStrictEqual } from 'node:util';
import type { StreamConfig } from '../../config/stream.ts';
import type { SlotMeta } from '../../flow/slot-ring.ts';
import type { LaneStream } from '../../protocol/threads.ts';
import type { StreamInput } from './stream-port.ts';

/** How far a file has been handed over, so that another connection continues behind that frame. */
export class FilePlace {
  #frames: number | null = 0;
  #lastPtsUs: SlotMeta['ptsUs'] | null = null;

  /** Null before the first frame. */
  get after(): LaneStream['after'] {
    return this.#lastPtsUs === null ? null : { frames: this.#frames, ptsUs: this.#lastPtsUs };
  }

  onFrame({ ptsUs }: Pick<SlotMeta, 'ptsUs'>): void {
    this.#lastPtsUs = ptsUs;
    if (this.#frames !== null) this.#frames += 1;
  }

  /** Call it if other frames are taken from now on: only the media time says how far it was. */
  forgetCount(): void {
    if (this.#lastPtsUs !== null) this.#frames = null;
  }

  /** The next connection reads from the start. */
  clear(): void {
    this.#frames = 0;
    this.#lastPtsUs = null;
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
  return a.every !== b.every || a.maxFps !== b.maxFps;
}
