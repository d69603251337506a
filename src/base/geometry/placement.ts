import type { ResizeRule } from '../core/model.ts';

/** Where a source picture lies in another picture: `x' = x * scaleX + offsetX`, likewise y. All in pixels. */
export interface Placement {
  readonly scaleX: number;
  readonly scaleY: number;
  readonly offsetX: number;
  readonly offsetY: number;
}

/** A size in pixels and where it lies inside a larger picture. */
export interface Fit {
  readonly width: number;
  readonly height: number;
  readonly x: number;
  readonly y: number;
}

/** A picture whose size changes mid-stream is fitted into the stream's initial size. */
export const PICTURE_FIT = { mode: 'letterbox', anchor: 'center', padValue: 0 } as const satisfies ResizeRule;

/** The side that fills the target can fall below it by a rounding error: `427 * (416 / 427)`. */
export const ROUNDING_SLACK = 1e-6;

/**
 * Returns the rectangle of the target that the source fills; for rule `crop` it extends beyond the target.
 *
 * Letterboxing keeps the aspect: `ratio = min(targetW / sourceW, targetH / sourceH)`, sizes rounded to whole pixels as the
 * rule says, and at least 1. ffmpeg's scale filter gets the same expressions, so both agree to the pixel.
 */
export function fitInto(
  source: { width: number; height: number },
  target: { width: number; height: number },
  rule: ResizeRule,
): Fit {
  if (rule.mode === 'stretch') return { width: target.width, height: target.height, x: 0, y: 0 };
  if (rule.mode === 'crop') {
    const enlarged = Math.max(target.width / source.width, target.height / source.height) / rule.share;
    const width = Math.max(target.width, Math.floor(source.width * enlarged + 0.5));
    const height = Math.max(target.height, Math.floor(source.height * enlarged + 0.5));
    return {
      width,
      height,
      x: 0 - Math.floor((width - target.width) / 2),
      y: 0 - Math.floor((height - target.height) / 2),
    };
  }
  const ratio = Math.min(target.width / source.width, target.height / source.height);
  const half = rule.rounding === 'floor' ? ROUNDING_SLACK : 0.5;
  const width = Math.min(target.width, Math.max(1, Math.floor(source.width * ratio + half)));
  const height = Math.min(target.height, Math.max(1, Math.floor(source.height * ratio + half)));
  if (rule.anchor === 'top-left') return { width, height, x: 0, y: 0 };
  return { width, height, x: Math.floor((target.width - width) / 2), y: Math.floor((target.height - height) / 2) };
}

/** Returns the part of a fit that is on the target: all of it, unless the rule is `crop`. */
export function fitOnTarget(fit: Fit, { width, height }: { readonly width: number; readonly height: number }): Fit {
  const [x, y] = [Math.max(0, fit.x), Math.max(0, fit.y)];
  return { x, y, width: Math.min(fit.width + fit.x, width) - x, height: Math.min(fit.height + fit.y, height) - y };
}

/** Returns the affine map of a fit. Scales come from the rounded sizes, so that borders map exactly. */
export function placementOf(source: { width: number; height: number }, fit: Fit): Placement {
  return { scaleX: fit.width / source.width, scaleY: fit.height / source.height, offsetX: fit.x, offsetY: fit.y };
}

/** Returns the whole pixels of a picture on which a rectangle of the source lies. */
export function placedOn(picture: { width: number; height: number }, source: Fit, placement: Placement): Fit {
  const { scaleX, scaleY, offsetX, offsetY } = placement;
  const x = Math.max(0, Math.round(source.x * scaleX + offsetX));
  const y = Math.max(0, Math.round(source.y * scaleY + offsetY));
  const right = Math.min(picture.width, Math.round((source.x + source.width) * scaleX + offsetX));
  const bottom = Math.min(picture.height, Math.round((source.y + source.height) * scaleY + offsetY));
  return { x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y) };
}

/** Returns the map that applies `first`, then `second`. */
export function composePlacements(first: Placement, second: Placement): Placement {
  return {
    scaleX: first.scaleX * second.scaleX,
    scaleY: first.scaleY * second.scaleY,
    offsetX: first.offsetX * second.scaleX + second.offsetX,
    offsetY: first.offsetY * second.scaleY + second.offsetY,
  };
}

/**
 * Maps packed detections from model pixels back to the source picture and clips them to what the model was shown.
 *
 * @param rows - `[n, columns]` f32: x, y, width, height in model pixels, score, classId; overwritten with source pixels. Columns
 *   behind them stay as they are.
 * @param placement - the map from source to model pixels.
 * @param shown - in source pixels; the whole picture if it has no corner.
 * @returns the number of rows left: boxes outside of it, for instance in the letterbox border, are removed.
 * Allocates nothing.
 */
export function rowsToSource(
  rows: Float32Array,
  placement: Placement,
  { x: minX = 0, y: minY = 0, width, height }: { x?: number; y?: number; width: number; height: number },
  columns = 6,
): number {
  const maxX = minX + width;
  const maxY = minY + height;
  let kept = 0;
  for (let i = 0; i + columns <= rows.length; i += columns) {
    const left = Math.max(minX, (rows[i]! - placement.offsetX) / placement.scaleX);
    const top = Math.max(minY, (rows[i + 1]! - placement.offsetY) / placement.scaleY);
    const right = Math.min(maxX, (rows[i]! + rows[i + 2]! - placement.offsetX) / placement.scaleX);
    const bottom = Math.min(maxY, (rows[i + 1]! + rows[i + 3]! - placement.offsetY) / placement.scaleY);
    if (!(right > left && bottom > top)) continue;
    const at = kept * columns;
    rows[at] = left;
    rows[at + 1] = top;
    rows[at + 2] = right - left;
    rows[at + 3] = bottom - top;
    rows[at + 4] = rows[i + 4]!;
    rows[at + 5] = rows[i + 5]!;
    for (let column = 6; column < columns; column += 1) rows[at + column] = rows[i + column]!;
    kept += 1;
  }
  return kept;
}
