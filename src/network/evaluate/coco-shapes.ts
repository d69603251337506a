import type { Box, Mask } from '../../base/core/detection.ts';
import { KEYPOINT_SIGMAS, labelledPoints } from '../../base/geometry/keypoint-similarity.ts';
import { areaOfRuns, boxOfRuns, maskOf, runsOfMask, runsOfPolygons } from '../../base/geometry/rle.ts';
import { isConvex, signedArea } from '../../base/geometry/rotated-iou.ts';
import type { CocoAnnotation, CocoAnnotations, CocoImage, CocoResult } from './coco-dataset.ts';
import type { IouType } from './coco-rules.ts';
import { invalid, isNumbers, type JsonEntry } from './json-entry.ts';

/** The fields of an annotation or a result that say where it is. */
type AnnotationShape = Omit<CocoAnnotation, 'imageId' | 'categoryId'>;
type ResultShape = Omit<CocoResult, 'imageId' | 'categoryId' | 'score'>;

/** A class of a whole picture has no place in it. */
const NOWHERE: Box = [0, 0, 0, 0];

/** Reads where an annotated object is, as far as the type needs it. @throws DATASET_INVALID */
export function annotationShape(entry: JsonEntry, iouType: IouType, { size = [0, 0] }: CocoImage): AnnotationShape {
  if (iouType === 'classes') return { box: NOWHERE, areaPx: 0, isCrowd: false };
  const shape = { box: entry.box('bbox'), areaPx: entry.number('area'), isCrowd: entry.flag('iscrowd') };
  if (iouType === 'segm') return { ...shape, mask: annotatedMask(entry, size) };
  if (iouType === 'oriented-boxes') return { ...shape, ...orientation(entry) };
  if (iouType === 'bbox') return shape;
  const keypoints = keypointsIn(entry);
  const keypointCount = entry.has('num_keypoints') ? entry.integer('num_keypoints') : labelledPoints(keypoints);
  return { ...shape, keypoints, keypointCount };
}

/**
 * Reads where a detection is, as far as the type needs it.
 *
 * @param hasBoxes - whether the first entry of the file has a box: then, as in pycocotools, all must have one, and sizes are theirs.
 *   Else boxes and sizes are those of masks and keypoints.
 * @throws DATASET_INVALID
 */
export function resultShape(entry: JsonEntry, iouType: IouType, hasBoxes: boolean): ResultShape {
  if (iouType === 'classes') return { box: NOWHERE };
  if (iouType === 'bbox') return { box: entry.box('bbox') };
  if (iouType === 'oriented-boxes') {
    const oriented = orientation(entry);
    const { corners } = oriented;
    if (corners === undefined) return { box: entry.box('bbox'), ...oriented };
    return { box: boxAround(corners, 2), areaPx: Math.abs(signedArea(corners)), corners };
  }
  if (iouType === 'keypoints') {
    const keypoints = keypointsIn(entry);
    return { box: hasBoxes ? entry.box('bbox') : boxAround(keypoints, 3), keypoints };
  }
  const mask = maskIn(entry);
  if (hasBoxes) return { box: entry.box('bbox'), mask };
  const runs = runsOfMask(mask);
  return { box: boxOfRuns(runs), areaPx: areaOfRuns(runs), mask };
}

/** Writes the shape of a result as its file has it. */
export function shapeFields({ box, mask, keypoints, angle, corners }: CocoResult, iouType: IouType): object {
  if (iouType === 'classes') return {};
  return {
    bbox: box,
    ...(mask === undefined ? {} : { segmentation: mask }),
    ...(keypoints === undefined ? {} : { keypoints }),
    ...(angle === undefined ? {} : { angle }),
    ...(corners === undefined ? {} : { segmentation: [corners] }),
  };
}

/** What the entries of a type must have, as files call it. */
const SHAPES: Readonly<
  Record<IouType, { field: string; has: (entry: CocoAnnotation | CocoResult) => boolean } | null>
> = {
  bbox: null,
  segm: { field: 'segmentation', has: ({ mask }) => mask !== undefined },
  keypoints: { field: 'keypoints', has: ({ keypoints }) => keypoints !== undefined },
  'oriented-boxes': { field: 'angle', has: ({ angle, corners }) => angle !== undefined || corners !== undefined },
  classes: null,
};

/**
 * Checks that all entries have the shapes that the annotations are matched by, and that masks have the size of their image.
 *
 * @throws DATASET_INVALID with the first that has not.
 */
export function requireShapes(annotations: CocoAnnotations, results: readonly CocoResult[], resultsName: string): void {
  const { path, iouType = 'bbox', images, annotations: objects } = annotations;
  const shape = SHAPES[iouType];
  if (shape === null) return;
  const sizes = new Map(images.map(({ id, size }) => [id, size]));
  for (const [entries, name, list] of [
    [objects, path, 'annotations'],
    [results, resultsName, ''],
  ] as const)
    for (const [i, entry] of entries.entries()) {
      const place = `${list}[${i}].${shape.field}`;
      if (!shape.has(entry)) throw invalid(name, place, `what ${iouType} is matched by`, undefined);
      const size = sizes.get(entry.imageId);
      if (entry.mask !== undefined && size !== undefined && entry.mask.size.some((side, axis) => side !== size[axis]))
        throw invalid(name, `${place}.size`, `that of image ${entry.imageId}, [${size.join(', ')}]`, entry.mask.size);
    }
}

/** What the entry has that says most about its task; a class of a whole picture cannot be told from a mistake. */
export function iouTypeIn(entry: JsonEntry | undefined): IouType {
  if (entry?.has('keypoints')) return 'keypoints';
  if (entry?.has('angle')) return 'oriented-boxes';
  if (!entry?.has('segmentation')) return 'bbox';
  return Array.isArray(entry.field('segmentation', '', () => true)) ? 'oriented-boxes' : 'segm';
}

function keypointsIn(entry: JsonEntry): readonly number[] {
  const length = 3 * KEYPOINT_SIGMAS.length;
  const expected = `${length} numbers: x, y and visibility of COCO's ${KEYPOINT_SIGMAS.length} points`;
  return entry.field('keypoints', expected, (value) => isNumbers(value) && value.length === length);
}

/** @param stride - numbers of each point, of which x and y are the first. */
function boxAround(points: readonly number[], stride: number): Box {
  const [xs, ys] = [0, 1].map((axis) => points.filter((_, at) => at % stride === axis)) as [number[], number[]];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return [left, top, Math.max(...xs) - left, Math.max(...ys) - top];
}

/** Polygons of an object or its run lengths, in a picture of this size. */
function annotatedMask(entry: JsonEntry, [height, width]: Mask['size']): Mask {
  const polygons: unknown = entry.field(
    'segmentation',
    'polygons or run lengths',
    (value) => typeof value === 'object',
  );
  if (!Array.isArray(polygons)) return maskIn(entry);
  entry.field(
    'segmentation',
    'at least one polygon, each a list [x, y, ...] of three points or more',
    () => polygons.length > 0 && polygons.every((each) => isNumbers(each) && each.length >= 6 && each.length % 2 === 0),
  );
  return maskOf(runsOfPolygons(polygons as number[][], height, width));
}

function maskIn(entry: JsonEntry): Mask {
  const expected = '{"size": [height, width], "counts": run lengths as text or list}';
  const mask: { size: Mask['size']; counts: string | number[] } = entry.field('segmentation', expected, (value) => {
    const { size, counts } = (value ?? {}) as { size?: unknown; counts?: unknown };
    return isNumbers(size) && size.length === 2 && (typeof counts === 'string' || isNumbers(counts));
  });
  try {
    const runs = runsOfMask(mask);
    return typeof mask.counts === 'string' ? { size: mask.size, counts: mask.counts } : maskOf(runs);
  } catch (error) {
    throw invalid(entry.path, `${entry.place}.segmentation`, `valid run lengths (${(error as Error).message})`, mask);
  }
}

/** An angle, or four corners of a convex quadrilateral. */
function orientation(entry: JsonEntry): Pick<CocoResult, 'angle' | 'corners'> {
  if (entry.has('angle')) return { angle: entry.number('angle') };
  const expected = 'an angle beside bbox, or one polygon of four corners that is convex';
  const [corners] = entry.field<[number[]]>(
    'segmentation',
    expected,
    (value) =>
      Array.isArray(value) && value.length === 1 && isNumbers(value[0]) && value[0].length === 8 && isConvex(value[0]),
  );
  return { corners };
}
