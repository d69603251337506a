import { distanceToSegment } from '../../../base/geometry/distance-to-segment.ts';

/** Pixels to draw on: u8 `[height, width, 3]`, RGB. All functions in this folder clip to it, except `blend`. */
export interface Canvas {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Red, green, blue, each 0 to 255. */
export type Colour = readonly [red: number, green: number, blue: number];

/** In whole pixels; may extend beyond the canvas. */
export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Fills a rectangle; `opacity` 0 to 1. */
export function fillRectangle(canvas: Canvas, area: Rectangle, colour: Colour, opacity = 1): void {
  const left = Math.max(0, area.x);
  const right = Math.min(canvas.width, area.x + area.width);
  const bottom = Math.min(canvas.height, area.y + area.height);
  for (let y = Math.max(0, area.y); y < bottom; y++) {
    for (let x = left; x < right; x++) blend(canvas, x, y, colour, opacity);
  }
}

/** Draws the four edges of a rectangle, `thickness` pixels wide, on its inside. */
export function outlineRectangle(canvas: Canvas, area: Rectangle, thickness: number, colour: Colour): void {
  const { x, y, width, height } = area;
  const across = Math.min(thickness, width);
  const down = Math.min(thickness, height);
  fillRectangle(canvas, { x, y, width, height: down }, colour);
  fillRectangle(canvas, { x, y: y + height - down, width, height: down }, colour);
  fillRectangle(canvas, { x, y, width: across, height }, colour);
  fillRectangle(canvas, { x: x + width - across, y, width: across, height }, colour);
}

/** Draws an antialiased straight line with round ends. Pixel centres have whole coordinates. */
export function strokeLine(
  canvas: Canvas,
  [fromX, fromY]: readonly [number, number],
  [toX, toY]: readonly [number, number],
  thickness: number,
  colour: Colour,
): void {
  const radius = thickness / 2;
  const reach = radius + 0.5;
  const [dx, dy] = [toX - fromX, toY - fromY];
  const top = Math.max(0, Math.floor(Math.min(fromY, toY) - reach));
  const bottom = Math.min(canvas.height - 1, Math.ceil(Math.max(fromY, toY) + reach));
  // On each row, visit only the columns near the infinite line: the bounding box of a long diagonal is large.
  const halfColumns = dy === 0 ? Number.POSITIVE_INFINITY : (reach * Math.hypot(dx, dy)) / Math.abs(dy);
  for (let y = top; y <= bottom; y++) {
    const middle = dy === 0 ? fromX : fromX + ((y - fromY) * dx) / dy;
    const left = Math.max(0, Math.floor(Math.max(Math.min(fromX, toX) - reach, middle - halfColumns)));
    const right = Math.min(canvas.width - 1, Math.ceil(Math.min(Math.max(fromX, toX) + reach, middle + halfColumns)));
    for (let x = left; x <= right; x++) {
      const cover = reach - distanceToSegment(x, y, fromX, fromY, toX, toY);
      if (cover > 0) blend(canvas, x, y, colour, Math.min(1, cover));
    }
  }
}

/** Blends a colour over one pixel, which must lie on the canvas. */
export function blend({ pixels, width }: Canvas, x: number, y: number, colour: Colour, opacity: number): void {
  const at = (y * width + x) * 3;
  if (opacity >= 1) {
    pixels[at] = colour[0];
    pixels[at + 1] = colour[1];
    pixels[at + 2] = colour[2];
    return;
  }
  pixels[at] = pixels[at]! + (colour[0] - pixels[at]!) * opacity;
  pixels[at + 1] = pixels[at + 1]! + (colour[1] - pixels[at + 1]!) * opacity;
  pixels[at + 2] = pixels[at + 2]! + (colour[2] - pixels[at + 2]!) * opacity;
}
