import type { Rect } from '../../base/geometry/views.ts';

/** Cells of the sampled area. */
export const COLUMNS = 32;
export const ROWS = 18;
/** Points along each side of a cell. */
const POINTS = 2;
/** Brightness at a point and beside it. */
const VALUES = 2;
/** Values of a cell. */
export const CELL_VALUES = POINTS * POINTS * VALUES;
/** Width of the area, in pixels, up to which the values are one pixel apart: in a wider picture no lens fills single pixels with detail. */
const FINE_WIDTH_PX = 400;

/**
 * Reads a few thousand pixels of a picture: enough to see whether it is black, frozen, blurred or shows another scene, at the
 * cost of 0.05 ms.
 */
export class PictureSampler {
  readonly #offsets: Int32Array;

  /**
   * @param rowPx - pixels of a row of the picture, u8 `[height, width, 3]` RGB.
   * @param area - the part of it that is read, in pixels.
   */
  constructor(rowPx: number, area: Rect) {
    this.#offsets = new Int32Array(COLUMNS * ROWS * CELL_VALUES);
    const near = Math.max(1, Math.round(area.width / FINE_WIDTH_PX));
    let at = 0;
    for (let row = 0; row < ROWS * POINTS; row += POINTS)
      for (let column = 0; column < COLUMNS * POINTS; column += POINTS)
        for (let point = 0; point < POINTS * POINTS; point++) {
          const x = placed(column + (point % POINTS), COLUMNS, area.width);
          const y = placed(row + Math.floor(point / POINTS), ROWS, area.height);
          for (const distance of [0, near]) {
            const pixel = (area.y + y) * rowPx + area.x + Math.min(area.width - 1, x + distance);
            this.#offsets[at++] = 3 * pixel;
          }
        }
  }

  /** Returns the brightness of the points, 0 to 255, cell by cell, `CELL_VALUES` each: at and beside each point. */
  sample(pixels: Uint8Array): Uint8Array {
    const offsets = this.#offsets;
    const samples = new Uint8Array(offsets.length);
    for (let i = 0; i < offsets.length; i++) {
      const at = offsets[i]!;
      // Luma after BT.601.
      samples[i] = (77 * pixels[at]! + 150 * pixels[at + 1]! + 29 * pixels[at + 2]!) >> 8;
    }
    return samples;
  }
}

/** The pixel in the middle of the n-th of equal parts. */
function placed(n: number, cells: number, size: number): number {
  return Math.min(size - 1, Math.floor(((n + 0.5) * size) / (cells * POINTS)));
}
