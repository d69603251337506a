import type { ModelSpec } from '../../../base/core/model.ts';
import { fitInto, PICTURE_FIT } from '../../../base/geometry/placement.ts';
import { type Point, similarityOf, spreadOf, unmapped } from '../../../base/geometry/similarity.ts';
import { LEAST_SCORE } from '../../../wire/protocol/skeleton.ts';
import type { Crop } from '../../../wire/protocol/threads.ts';

/** Where key points lie in what the model sees, as ratios of its sides, in the order of the detector; null: not used. */
export type Template = readonly (Point | null)[];

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Side of the square that the template of faces is for, in pixels. */
const FACE_SIDE = 112;
/** Eyes, nose and corners of the mouth, each from left to right in the picture: what networks for face recognition are trained with. */
const FACE: readonly Point[] = [
  [38.2946, 51.6963],
  [73.5318, 51.5014],
  [56.0252, 71.7366],
  [41.5493, 92.3655],
  [70.7299, 92.2041],
];

/** Points that are nearer to each other, in pixels of the picture, say nothing of angle and size. */
const LEAST_SPREAD_PX = 1;

/**
 * Returns the template for objects with so many key points; null if none is known.
 *
 * @param input - of the model; if it is no square, the face is as large as in one of the longer side, in the middle.
 */
export function builtInTemplate(keypoints: number, { width, height }: Size): Template | null {
  if (keypoints !== FACE.length) return null;
  const side = Math.max(width, height);
  const ratio = (px: number, own: number) => 0.5 + ((px / FACE_SIDE - 0.5) * side) / own;
  return FACE.map(([x, y]) => [ratio(x, width), ratio(y, height)]);
}

/**
 * Returns the turned part of a full picture whose key points lie nearest to those of a template; it may lie beyond the picture. Points that
 * are not seen, or outside of the picture, do not count.
 *
 * @param keypoints - x, y and score of each in turn, in source pixels.
 * @param template - null: the built-in one.
 * @param marginRatio - added on each side, as a ratio of the sides.
 * @returns null if fewer than two points count, they lie in one place, or the part would be larger than the picture.
 */
export function alignedCrop(
  keypoints: readonly number[],
  template: Template | null,
  { width, height, resize }: ModelSpec['input'],
  source: Size,
  picture: Size,
  marginRatio: number,
): Crop | null {
  const count = keypoints.length / 3;
  const places = template ?? builtInTemplate(count, { width, height });
  if (places?.length !== count) return null;
  const fit = fitInto(source, picture, PICTURE_FIT);
  const [from, to]: [Point[], Point[]] = [[], []];
  for (const [i, place] of places.entries()) {
    const [x, y, score] = [keypoints[3 * i]!, keypoints[3 * i + 1]!, keypoints[3 * i + 2]!];
    const isInside = x >= 0 && x <= source.width && y >= 0 && y <= source.height;
    if (place === null || !isInside || score < LEAST_SCORE) continue;
    from.push([fit.x + (x * fit.width) / source.width, fit.y + (y * fit.height) / source.height]);
    to.push([place[0] * width, place[1] * height]);
  }
  if (from.length < 2 || spreadOf(from) < LEAST_SPREAD_PX) return null;
  const onInput = similarityOf(from, to);
  const [centreX, centreY] = unmapped(onInput, [width / 2, height / 2]);
  // Rule `crop` shows the middle of a part.
  const share = resize.mode === 'crop' ? resize.share : 1;
  const scale = (1 + 2 * marginRatio) / Math.hypot(onInput.a, onInput.b) / share;
  const side = { width: width * scale, height: height * scale };
  if (!(Math.max(side.width, side.height) <= Math.hypot(picture.width, picture.height))) return null;
  const at = { x: centreX - side.width / 2, y: centreY - side.height / 2 };
  return { ...at, ...side, pictureWidth: picture.width, angle: (-Math.atan2(onInput.b, onInput.a) * 180) / Math.PI };
}
