import { type ImageMatches, TRUE_POSITIVE } from './coco-match.ts';
import { IOU_50_INDEX, IOU_75_INDEX, IOU_THRESHOLDS } from './coco-rules.ts';
import { labelRanks } from './label-ranks.ts';
import { eachOnce } from './loss-bootstrap.ts';
import { type CategoryMatches, matchDataset } from './match-dataset.ts';
import { ResampledPrecision } from './resampled-precision.ts';

const [ALL, SMALL, MEDIUM, LARGE] = [0, 1, 2, 3] as const;
const ALL_THRESHOLDS = [...IOU_THRESHOLDS.keys()];

/** Computes one figure; NaN without an object. */
type Figure = (matches: readonly CategoryMatches[], precision: ReturnType<ResampledPrecision['figuresOf']>) => number;

const precisionOf =
  (area: number): Figure =>
  (_, { byArea }) =>
    byArea[area]!;
const precisionAt =
  (threshold: number): Figure =>
  (_, { byThreshold }) =>
    byThreshold[threshold]!;
const recallOf =
  (mostDetections: number, area: number = ALL, thresholds = ALL_THRESHOLDS): Figure =>
  (matches) =>
    averageRecall(matches, area, thresholds, mostDetections);

const BOX_FIGURES = {
  AP: precisionOf(ALL),
  AP50: precisionAt(IOU_50_INDEX),
  AP75: precisionAt(IOU_75_INDEX),
  APs: precisionOf(SMALL),
  APm: precisionOf(MEDIUM),
  APl: precisionOf(LARGE),
  AR1: recallOf(1),
  AR10: recallOf(10),
  AR100: recallOf(100),
  ARs: recallOf(100, SMALL),
  ARm: recallOf(100, MEDIUM),
  ARl: recallOf(100, LARGE),
};

const KEYPOINT_FIGURES = {
  AP: precisionOf(ALL),
  AP50: precisionAt(IOU_50_INDEX),
  AP75: precisionAt(IOU_75_INDEX),
  APm: precisionOf(MEDIUM),
  APl: precisionOf(LARGE),
  AR: recallOf(20),
  AR50: recallOf(20, ALL, [IOU_50_INDEX]),
  AR75: recallOf(20, ALL, [IOU_75_INDEX]),
  ARm: recallOf(20, MEDIUM),
  ARl: recallOf(20, LARGE),
};

/** Names of COCO's twelve figures of boxes and masks, in its order. */
export const COCO_FIGURES = Object.keys(BOX_FIGURES) as readonly (keyof typeof BOX_FIGURES)[];

/** Each from 0 to 1, or -1 if there was no object to find. */
export type CocoFigures = Readonly<Record<(typeof COCO_FIGURES)[number], number>>;

/** Figures by name, each from 0 to 1, or -1 if there was nothing to find. The first is the one that decides. */
export type Figures = Readonly<Record<string, number>>;

/**
 * Scores detections against annotations like COCO's published evaluation of boxes: average precision over the IoU
 * thresholds 0.50:0.05:0.95, 101 recall points and all categories that have an object; average recall at 1, 10 and 100
 * detections per image and category; three area ranges; crowds ignored. Masks and oriented boxes, if the annotations were read for them,
 * by their own IoU.
 *
 * Categories that are not in the annotations are left out, as in pycocotools. One difference: an annotation with id 0 counts
 * like any other, while pycocotools treats its matches as false positives.
 *
 * @throws DATASET_INVALID as `matchDataset`, whose parameters it has. RangeError for keypoints and classes, which have other figures: see
 *   `scoreResults`.
 */
export function scoreDetections(...parameters: Parameters<typeof matchDataset>): CocoFigures {
  const [{ iouType = 'bbox' }] = parameters;
  if (iouType === 'keypoints' || iouType === 'classes')
    throw new RangeError(
      `scoreDetections: expected annotations of boxes or masks, received ${iouType}; use scoreResults`,
    );
  return scoreResults(...parameters) as CocoFigures;
}

/**
 * Scores results by the type of the annotations: as `scoreDetections`; keypoints by COCO's ten figures of them; classes of whole pictures by
 * the share of labelled pictures that have a label as first (`top1`) or among the first five (`top5`).
 *
 * @throws DATASET_INVALID as `matchDataset`, whose parameters it has.
 */
export function scoreResults(...parameters: Parameters<typeof matchDataset>): Figures {
  const [annotations] = parameters;
  const { iouType = 'bbox' } = annotations;
  if (iouType === 'classes') {
    const pictures = labelRanks(...parameters);
    const share = (most: number): number => pictures.filter(({ rank }) => rank < most).length / pictures.length;
    return { top1: orNone(share(1)), top5: orNone(share(5)) };
  }
  const matches = matchDataset(...parameters);
  const precision = new ResampledPrecision(matches).figuresOf(eachOnce(annotations.images.length));
  const figures = Object.entries(iouType === 'keypoints' ? KEYPOINT_FIGURES : BOX_FIGURES);
  return Object.fromEntries(figures.map(([name, figure]) => [name, orNone(figure(matches, precision))]));
}

function orNone(value: number): number {
  return Number.isNaN(value) ? -1 : value;
}

/** Mean over the categories with an object and the IoU thresholds; NaN without an object. */
function averageRecall(
  matches: readonly CategoryMatches[],
  area: number,
  thresholds: readonly number[],
  mostDetections: number,
): number {
  let [sum, values] = [0, 0];
  for (const { images } of matches) {
    const objects = images.reduce((all, image) => all + image.objects[area]!, 0);
    if (objects === 0) continue;
    for (const t of thresholds) sum += countFound(images, area, t, mostDetections) / objects;
    values += thresholds.length;
  }
  return sum / values;
}

/** Counts the objects found by the first `maxDetections` detections of each image. */
function countFound(images: readonly ImageMatches[], area: number, t: number, maxDetections: number): number {
  let found = 0;
  for (const { scores, outcomes } of images) {
    const row = (area * IOU_THRESHOLDS.length + t) * scores.length;
    const end = Math.min(maxDetections, scores.length);
    for (let d = 0; d < end; d++) if (outcomes[row + d] === TRUE_POSITIVE) found += 1;
  }
  return found;
}
