import { basename, extname } from 'node:path';

/** Frames that one source can have before its image ids overlap those of the next: 92 hours at 30 fps. */
export const IMAGE_IDS_PER_SOURCE = 10_000_000;

const PICTURE_EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff']);

/**
 * Maps frames to the image ids of COCO's results format.
 *
 * - A picture whose file name is a number, like COCO's own (`000000000802.jpg`), gets that number.
 * - Any other frame gets `sourceIndex * 10 000 000 + frame + 1`, where `sourceIndex` is the index of its source in the list
 *   of sources, from 0. For a single video that is the frame number, from 1.
 */
export class CocoImageIds {
  readonly #indexOfSource = new Map<string, number>();

  /** @param sources - all sources in the user's order; others get the next index when they first appear. */
  constructor(sources: readonly string[]) {
    for (const source of sources) this.#indexOf(source);
  }

  imageId(source: string, frame: number): number {
    const extension = extname(source);
    const name = basename(source, extension);
    if (frame === 0 && PICTURE_EXTENSIONS.has(extension.toLowerCase()) && /^\d{1,15}$/.test(name)) return Number(name);
    return this.#indexOf(source) * IMAGE_IDS_PER_SOURCE + frame + 1;
  }

  #indexOf(source: string): number {
    const known = this.#indexOfSource.get(source);
    if (known !== undefined) return known;
    this.#indexOfSource.set(source, this.#indexOfSource.size);
    return this.#indexOfSource.size - 1;
  }
}
