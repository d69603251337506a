import type { FrameResult } from '../../base/core/frame.ts';
import { MOST_BYTES } from '../../base/disk/given-file.ts';
import { writeWholeFile } from '../../base/disk/replace-file.ts';
import { boxesPath } from './archive.ts';
import { readStored } from './stored-file.ts';

/** Boxes that are remembered of a stream, about 5 MB: of more, the newest. */
const MOST_BOXES = 20_000;

/** A box: x, y, width and height in source pixels, its label, and its track if it has one. */
type ClipBox = readonly [x: number, y: number, width: number, height: number, label: string, track?: number];

/** The boxes of one frame, possibly none. */
interface BoxedFrame {
  readonly ptsUs: number;
  readonly boxes: readonly ClipBox[];
}

/** What was found in the frames of a clip: only those that have a result, the oldest first. */
export interface ClipBoxes {
  /** Size in pixels of the picture that the boxes lie in. */
  readonly width: number;
  readonly height: number;
  readonly frames: readonly BoxedFrame[];
}

/** The newest results of a stream, for the clips that will begin before now. */
export class BoxMemory {
  #size = { width: 0, height: 0 };
  #frames: BoxedFrame[] = [];
  #count = 0;
  /** Media time of the newest result, also if it was forgotten. */
  newestUs = Number.NEGATIVE_INFINITY;

  /** Whether a frame ends what is remembered: it has another size, or the clock was set back. Some sources repeat a time. */
  endsWith({ ptsUs, width, height }: Pick<FrameResult, 'ptsUs' | 'width' | 'height'>): boolean {
    return ptsUs < this.newestUs || width !== this.#size.width || height !== this.#size.height;
  }

  /** @param fromUs - media time from which frames are needed */
  push(frame: FrameResult, fromUs: number): void {
    const { ptsUs, width, height, detections } = frame;
    if (this.endsWith(frame)) [this.#frames, this.#count] = [[], 0];
    this.#size = { width, height };
    this.newestUs = ptsUs;
    const boxes = detections.map(({ box: [x, y, w, h], label, trackId }): ClipBox => {
      const pixels = [Math.round(x), Math.round(y), Math.round(w), Math.round(h)] as const;
      return trackId === undefined ? [...pixels, label] : [...pixels, label, trackId];
    });
    this.#frames.push({ ptsUs, boxes });
    this.#count += 1 + boxes.length;
    const gone = this.#frames.findIndex((frame) => {
      const isNeeded = frame.ptsUs >= fromUs && this.#count <= MOST_BOXES;
      if (!isNeeded) this.#count -= 1 + frame.boxes.length;
      return isNeeded;
    });
    if (gone !== 0) this.#frames.splice(0, gone === -1 ? this.#frames.length : gone);
  }

  /** @param untilUs - where its last picture ends */
  between(fromUs: number, untilUs: number): ClipBoxes {
    return { ...this.#size, frames: this.#frames.filter(({ ptsUs }) => ptsUs >= fromUs && ptsUs < untilUs) };
  }
}

/** Keeps the boxes of a clip. A clip without them is still a clip, so what fails is not said. */
export async function keepBoxes(clip: string, boxes: ClipBoxes): Promise<void> {
  if (boxes.frames.length > 0) await writeWholeFile(boxesPath(clip), JSON.stringify(boxes)).catch(() => undefined);
}

/** Returns the boxes of a clip; null if it has none, since its host was killed before it was complete, or an older one made it. */
export async function boxesOf(clip: string): Promise<ClipBoxes | null> {
  try {
    return JSON.parse((await readStored(boxesPath(clip), MOST_BYTES.settings)).toString('utf8')) as ClipBoxes;
  } catch {
    return null;
  }
}
