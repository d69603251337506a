import { type ImageMatches, TRUE_POSITIVE } from './coco-match.ts';
import { AP_MAX_DETECTIONS, IOU_50_INDEX, IOU_75_INDEX, IOU_THRESHOLDS, MAX_DETECTIONS } from './coco-rules.ts';
import { eachOnce } from './loss-bootstrap.ts';
import { type CategoryMatches, matchDataset } from './match-dataset.ts';
import { ResampledPrecision } from './resampled-precision.ts';

/** COCO's twelve figures, in its order. */
export const COCO_FIGURES = [
  'AP',
  'AP50',
  'AP75',
  'APs',
  'APm',
  'APl',
  'AR1',
  'AR10',
  'AR100',
  'ARs',
  'ARm',
  'ARl',
] as const;

/** Each from 0 to 1, or -1 if there was no object to find. */
export type CocoFigures = Readonly<Record<(typeof COCO_FIGURES)[number], number>>;

const [ALL, SMALL, MEDIUM, LARGE] = [0, 1, 2, 3] as const;

/**
 * Scores detections against annotations like COCO's published evaluation of boxes: average precision over the IoU
 * thresholds 0.50:0.05:0.95, 101 recall points and all categories that have an object; average recall at 1, 10 and 100
 * detections per image and category; three area ranges; crowds ignored.
 *
 * Categories that are not in the annotations are left out, as in pycocotools. One difference: an annotation with id 0 counts
 * like any other, while pycocotools treats its matches as false positives.
 *
 * @throws DATASET_INVALID as `matchDataset`, whose parameters it has.
 */
export function scoreDetections(...[annotations, results, resultsName]: Parameters<typeof matchDataset>): CocoFigures {
  const matches = matchDataset(annotations, results, resultsName);
  const { byArea, byThreshold } = new ResampledPrecision(matches).figuresOf(eachOnce(annotations.images.length));
  const values = [
    ...[byArea[ALL]!, byThreshold[IOU_50_INDEX]!, byThreshold[IOU_75_INDEX]!],
    ...[byArea[SMALL]!, byArea[MEDIUM]!, byArea[LARGE]!],
    ...MAX_DETECTIONS.map((most) => averageRecall(matches, ALL, most)),
    ...[SMALL, MEDIUM, LARGE].map((area) => averageRecall(matches, area, AP_MAX_DETECTIONS)),
  ];
  const figures = COCO_FIGURES.map((figure, i) => [figure, Number.isNaN(values[i]!) ? -1 : values[i]!]);
  return Object.fromEntries(figures) as unknown as CocoFigures;
}

/** Mean over the categories with an object and the IoU thresholds; NaN without an object. */
function averageRecall(matches: readonly CategoryMatches[], area: number, mostDetections: number): number {
  let [sum, values] = [0, 0];
  for (const { images } of matches) {
    const objects = images.reduce((all, image) => all + image.objects[area]!, 0);
    if (objects === 0) continue;
    for (const t of IOU_THRESHOLDS.keys()) sum += countFound(images, area, t, mostDetections) / objects;
    values += IOU_THRESHOLDS.length;
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
