import { type Attribute, type Box, DETECTION_COLUMNS, type Detection } from '../../../base/core/detection.ts';
import type { ModelSpec } from '../../../base/core/model.ts';
import { type Fit, fitInto, PICTURE_FIT } from '../../../base/geometry/placement.ts';
import { unpackRows } from '../../../base/geometry/task-rows.ts';
import { roundBox, roundScore } from '../../../wire/protocol/result-record.ts';
import type { Crop } from '../../../wire/protocol/threads.ts';
import type { StageModel } from './second-stage.ts';

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Digits of a vector's numbers, and of the pixels that it was made of: more would only make records larger. */
const VECTOR_STEPS = 1e5;
const BOX_STEPS = 10;
const HASH_DIGITS = 12;

/** Returns the names of the attributes that a model gives as a second stage; none for a detector. */
export function attributeNames(
  { family, heads = [], classes }: Pick<ModelSpec, 'family' | 'heads' | 'classes'>,
  stage: string,
): string[] {
  switch (family) {
    case 'classifier':
      return [stage];
    case 'heads':
      return heads.length === 1 ? [stage] : [...heads];
    case 'labels':
      return [...classes];
    case 'ctc':
    case 'slots':
    case 'embedding':
      return [stage];
    default:
      return [];
  }
}

/**
 * Returns what a model that reads crops says of one, by name. What is less sure than its threshold is left out.
 *
 * @param rows - as its decoder packs them.
 * @param box - of the object, in source pixels.
 */
export function attributesOf(
  { spec, hash, scoreThreshold }: Pick<StageModel, 'spec' | 'hash' | 'scoreThreshold'>,
  stage: string,
  rows: Float32Array,
  box: Box,
  atUs: number,
): Readonly<Record<string, Attribute>> {
  const names = attributeNames(spec, stage);
  if (spec.family === 'embedding') {
    const vector = Array.from(
      rows.filter((value) => !Number.isNaN(value)),
      (value) => Math.round(value * VECTOR_STEPS) / VECTOR_STEPS,
    );
    const model = `${spec.name}@${hash.slice(0, HASH_DIGITS)}`;
    return { [stage]: { vector, model, box: roundBox(box, BOX_STEPS), atUs } };
  }
  // Of a network for whole pictures: a box for each class, the surest first.
  const ranked = spec.task === 'classes' ? rows.subarray(0, DETECTION_COLUMNS) : rows;
  const readings = Array.from({ length: ranked.length / DETECTION_COLUMNS }, (_, row) => {
    const at = row * DETECTION_COLUMNS;
    return { place: ranked[at]!, score: ranked[at + 4]!, label: spec.classes[ranked[at + 5]!] ?? '' };
  });
  const read = namedReadings(spec.family, readings, names, stage);
  const sure = read.filter(({ label, score }) => label !== '' && score >= scoreThreshold);
  return Object.fromEntries(sure.map(({ name, label, score }) => [name, { label, score: roundScore(score), atUs }]));
}

interface Reading {
  readonly place: number;
  readonly score: number;
  readonly label: string;
}

/** One attribute of each label or head; of all others one of the whole, such as a text of its characters. */
function namedReadings(
  family: ModelSpec['family'],
  readings: readonly Reading[],
  names: readonly string[],
  stage: string,
): { readonly name: string; readonly label: string; readonly score: number }[] {
  if (family === 'labels')
    return readings.map(({ place, score }) => ({
      name: names[place]!,
      ...(score >= 0.5 ? { label: 'yes', score } : { label: 'no', score: 1 - score }),
    }));
  if (family === 'heads') return readings.map(({ place, ...reading }) => ({ name: names[place]!, ...reading }));
  const text = readings.map(({ label }) => label).join('');
  return [{ name: stage, label: text.trim(), score: meanScore(readings) }];
}

function meanScore(readings: readonly { readonly score: number }[]): number {
  return readings.reduce((sum, { score }) => sum + score, 0) / Math.max(1, readings.length);
}

/**
 * Returns the part of a full picture that shows a box, in whole pixels; null if none of it is in the picture.
 *
 * @param marginRatio - added on each side, as a ratio of the box's sides.
 * @param angle - of an oriented box that is cut upright, clockwise degrees; the part may then lie beyond the picture.
 */
export function cropOf(box: Box, source: Size, picture: Size, marginRatio: number, angle = 0): Crop | null {
  const fit = fitInto(source, picture, PICTURE_FIT);
  const [x, y, width, height] = boxOnPicture(box, source, fit);
  if (angle !== 0) {
    const [outerWidth, outerHeight] = [width, height].map((side) => Math.round(side * (1 + 2 * marginRatio)));
    if (outerWidth! < 1 || outerHeight! < 1) return null;
    const [centreX, centreY] = [x + width / 2, y + height / 2];
    const at = { x: centreX - outerWidth! / 2, y: centreY - outerHeight! / 2 };
    return { ...at, width: outerWidth!, height: outerHeight!, pictureWidth: picture.width, angle };
  }
  const left = Math.max(fit.x, Math.round(x - width * marginRatio));
  const top = Math.max(fit.y, Math.round(y - height * marginRatio));
  const right = Math.min(fit.x + fit.width, Math.round(x + width * (1 + marginRatio)));
  const bottom = Math.min(fit.y + fit.height, Math.round(y + height * (1 + marginRatio)));
  if (right <= left || bottom <= top) return null;
  return { x: left, y: top, width: right - left, height: bottom - top, pictureWidth: picture.width };
}

/** Returns the pixels of the full picture on the shorter side of a box. */
export function shorterSidePx(box: Box, source: Size, picture: Size): number {
  const [, , width, height] = boxOnPicture(box, source, fitInto(source, picture, PICTURE_FIT));
  return Math.min(width, height);
}

function boxOnPicture([x, y, width, height]: Box, source: Size, fit: Fit): Box {
  const [scaleX, scaleY] = [fit.width / source.width, fit.height / source.height];
  return [fit.x + x * scaleX, fit.y + y * scaleY, width * scaleX, height * scaleY];
}

/**
 * Returns the objects that a detector found in a crop, in source pixels.
 *
 * @param rows - in pixels of the full picture.
 * @param firstClass - number of its first class: the classes of all models are told apart.
 */
export function objectsIn(
  rows: Float32Array,
  spec: Pick<ModelSpec, 'classes' | 'task' | 'keypoints'>,
  leastScore: number,
  source: Size,
  picture: Size,
  firstClass: number,
): Detection[] {
  const fit = fitInto(source, picture, PICTURE_FIT);
  const [scaleX, scaleY] = [source.width / fit.width, source.height / fit.height];
  const onSource: Box = [-fit.x * scaleX, -fit.y * scaleY, scaleX, scaleY];
  return unpackRows(rows, spec.classes, spec)
    .filter(({ score }) => score >= leastScore)
    .map(({ classId, ...found }) => ({ ...placedIn(found, onSource), classId: firstClass + classId }));
}

/** Moves an object whose box and key points count from the corner of a box, in units of its sides, to where the box is. */
export function placedIn<T extends Pick<Detection, 'box' | 'keypoints'>>(
  object: T,
  [left, top, width, height]: Box,
): T {
  const { box, keypoints } = object;
  const placed = { ...object, box: [left + box[0] * width, top + box[1] * height, box[2] * width, box[3] * height] };
  if (keypoints === undefined) return placed;
  const at = (value: number, i: number): number =>
    i % 3 === 0 ? left + value * width : i % 3 === 1 ? top + value * height : value;
  return { ...placed, keypoints: keypoints.map(at) };
}
