import { basename, extname } from 'node:path';

/** Frames that one source may have before its image ids would run into those of the next: 92 hours at 30 a second. */
export const IMAGE_IDS_PER_SOURCE = 10_000_000;

const PICTURE_EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff']);

/**
 * Gives frames the image ids that COCO's results format wants.
 *
 * - A picture whose file name is a number, as COCO's own are (`000000000802.jpg`), has that number.
 * - Any other frame has `sourceIndex * 10 000 000 + frame + 1`, where `sourceIndex` is the place of its source in the
 *   list of sources, from 0. For a single video that is the number of the frame, from 1.
 */
export class CocoImageIds {
  readonly #indexOfSource = new Map<string, number>();

  /** @param sources - all sources in the order in which the user named them; others follow as they appear. */
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
