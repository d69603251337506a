import type { ModelSpec } from '../../base/core/model.ts';
import { composePlacements, type Fit, fitInto, type Placement, placementOf } from '../../base/geometry/placement.ts';
import type { Rect } from '../../base/geometry/views.ts';
import type { Crop } from '../../wire/protocol/threads.ts';
import { Resampler } from './resampler.ts';

/**
 * Cuts a part of a picture and fits it into a model's input.
 *
 * @param picture - u8 `[height, rowPixels, 3]` RGB; only read.
 * @param crop - in whole pixels, within the picture; a turned one is made upright first, see `upright`, and has any size.
 * @param input - u8 `[input.height, input.width, 3]` RGB; overwritten.
 * On the path of a frame: 0.1 ms for an input of 72x72, and tables of the input's sides.
 */
export function cutCrop(
  picture: Uint8Array,
  rowPixels: number,
  crop: Rect & Pick<Crop, 'angle'>,
  spec: ModelSpec,
  input: Uint8Array,
): void {
  const { width, height, resize } = spec.input;
  const fit = fitOf(crop, spec);
  if (resize.mode === 'letterbox' && (fit.width < width || fit.height < height)) input.fill(resize.padValue);
  const part =
    crop.angle === undefined
      ? {
          width: crop.width,
          height: crop.height,
          rowPixels,
          pixels: picture.subarray((crop.y * rowPixels + crop.x) * 3),
        }
      : upright(picture, rowPixels, crop, crop.angle, fit);
  const { kernel = 'antialiased-linear' } = resize;
  const resampler = new Resampler(part, fit, kernel === 'vips-linear' ? 'antialiased-linear' : kernel, part.rowPixels);
  if (fit.width <= width && fit.height <= height) {
    resampler.run(part.pixels, input, (fit.y * width + fit.x) * 3, width * 3);
    return;
  }
  // Rule `crop`: the input is the middle of what the part fills.
  const filled = new Uint8Array(fit.width * fit.height * 3);
  resampler.run(part.pixels, filled, 0, fit.width * 3);
  for (let row = 0; row < height; row += 1) {
    const from = ((row - fit.y) * fit.width - fit.x) * 3;
    input.set(filled.subarray(from, from + width * 3), row * width * 3);
  }
}

/**
 * Returns a turned part of a picture as it is upright, at least as large as its fit: enlarged here, it is interpolated once.
 *
 * The centre of the pixel of column i and row j lies, from the centre c of the part, at u and v, in the picture at c + R (u, v),
 * R = [[cos a, -sin a], [sin a, cos a]] for the clockwise angle a, as y points down. It is interpolated linearly between the four
 * pixels around it; beyond the picture, pixels of its border go on.
 *
 * @returns u8 `[height, rowPixels, 3]`
 * On the path of a frame: 25 to 40 ns a pixel on a busy core, so 0.13 ms for a plate of 120x40, 3 ms for 400x200.
 */
function upright(picture: Uint8Array, rowPixels: number, crop: Rect, angle: number, fit: Fit) {
  const width = Math.max(Math.ceil(crop.width), fit.width);
  const height = Math.max(Math.ceil(crop.height), fit.height);
  const [stepX, stepY] = [crop.width / width, crop.height / height];
  const rows = Math.floor(picture.length / (rowPixels * 3));
  const made = new Uint8Array(width * height * 3);
  const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  // Pixels lie half a pixel behind their index.
  const [centreX, centreY] = [crop.x + crop.width / 2 - 0.5, crop.y + crop.height / 2 - 0.5];
  let at = 0;
  for (let j = 0; j < height; j += 1) {
    const v = (j + 0.5 - height / 2) * stepY;
    for (let i = 0; i < width; i += 1) {
      const u = (i + 0.5 - width / 2) * stepX;
      const sourceX = Math.min(Math.max(centreX + u * cos - v * sin, 0), rowPixels - 1);
      const sourceY = Math.min(Math.max(centreY + u * sin + v * cos, 0), rows - 1);
      const [left, top] = [Math.floor(sourceX), Math.floor(sourceY)];
      const [shareX, shareY] = [sourceX - left, sourceY - top];
      const upper = (top * rowPixels + left) * 3;
      const next = left + 1 < rowPixels ? 3 : 0;
      const lower = upper + (top + 1 < rows ? rowPixels * 3 : 0);
      for (let colour = 0; colour < 3; colour += 1) {
        const above = picture[upper + colour]! * (1 - shareX) + picture[upper + next + colour]! * shareX;
        const below = picture[lower + colour]! * (1 - shareX) + picture[lower + next + colour]! * shareX;
        made[at] = above * (1 - shareY) + below * shareY + 0.5;
        at += 1;
      }
    }
  }
  return { pixels: made, rowPixels: width, width, height };
}

/** Returns the map from pixels of the picture to those of the input that `cutCrop` makes of a part of it. */
export function cropPlacement(crop: Rect, spec: ModelSpec): Placement {
  const onInput = placementOf(crop, fitOf(crop, spec));
  return composePlacements({ scaleX: 1, scaleY: 1, offsetX: -crop.x, offsetY: -crop.y }, onInput);
}

/** A line of text fills the height of the input: one that is too long is squeezed, as PaddleOCR does. */
function fitOf(crop: Rect, { family, input }: ModelSpec): Fit {
  if (family !== 'ctc' || input.resize.mode === 'stretch') return fitInto(crop, input, input.resize);
  const width = Math.min(input.width, Math.max(1, Math.ceil((crop.width / crop.height) * input.height)));
  return { x: 0, y: 0, width, height: input.height };
}
