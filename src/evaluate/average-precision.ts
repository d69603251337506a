import type { CocoAnnotations, CocoResult } from './coco-dataset.ts';
import { FALSE_POSITIVE, type ImageMatches, TRUE_POSITIVE } from './coco-match.ts';
import {
  AP_MAX_DETECTIONS,
  IOU_50_INDEX,
  IOU_75_INDEX,
  IOU_THRESHOLDS,
  MAX_DETECTIONS,
  RECALL_POINTS,
} from './coco-rules.ts';
import { matchDataset, rankAcrossImages } from './match-dataset.ts';

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

const THRESHOLDS = IOU_THRESHOLDS.length;
const [ALL, SMALL, MEDIUM, LARGE] = [0, 1, 2, 3] as const;

/**
 * Scores detections against annotations like COCO's published evaluation of boxes: average precision over the IoU
 * thresholds 0.50:0.05:0.95, 101 recall points and all categories that have an object; average recall at 1, 10 and 100
 * detections per image and category; three area ranges; crowds ignored.
 *
 * Categories that are not in the annotations are left out, as in pycocotools. One difference: an annotation with id 0 counts
 * like any other, while pycocotools treats its matches as false positives.
 *
 * @param results - in the order of their file, which decides between equal scores.
 * @throws DATASET_INVALID if a result refers to an image that is not in the annotations, or if no result refers to one of
 *   their categories.
 */
export function scoreDetections(annotations: CocoAnnotations, results: readonly CocoResult[]): CocoFigures {
  const totals = new FigureSums();
  for (const { images } of matchDataset(annotations, results)) addCategory(images, totals);
  return totals.figures();
}

/** Means of per-category figures. A category without objects in an area range adds nothing to that range's figures. */
class FigureSums {
  readonly #sums = new Map<keyof CocoFigures, { sum: number; count: number }>();

  add(figure: keyof CocoFigures, value: number): void {
    const entry = this.#sums.get(figure) ?? { sum: 0, count: 0 };
    entry.sum += value;
    entry.count += 1;
    this.#sums.set(figure, entry);
  }

  figures(): CocoFigures {
    const means = COCO_FIGURES.map((figure) => {
      const entry = this.#sums.get(figure);
      return [figure, entry === undefined ? -1 : entry.sum / entry.count] as const;
    });
    return Object.fromEntries(means) as unknown as CocoFigures;
  }
}

const PRECISION_FIGURES = [
  { area: ALL, precision: 'AP', recall: 'AR100' },
  { area: SMALL, precision: 'APs', recall: 'ARs' },
  { area: MEDIUM, precision: 'APm', recall: 'ARm' },
  { area: LARGE, precision: 'APl', recall: 'ARl' },
] as const;

/** Adds one category. Each category adds the same number of values to a figure, so the mean of means is exact. */
function addCategory(images: readonly ImageMatches[], totals: FigureSums): void {
  const ranking = rankAcrossImages(images);
  for (const { area, precision, recall } of PRECISION_FIGURES) {
    const objects = images.reduce((sum, image) => sum + image.objects[area]!, 0);
    if (objects === 0) continue;
    for (let t = 0; t < THRESHOLDS; t++) {
      const mean = meanPrecision(outcomesInOrder(images, ranking, area, t), objects);
      totals.add(precision, mean);
      if (area === ALL && t === IOU_50_INDEX) totals.add('AP50', mean);
      if (area === ALL && t === IOU_75_INDEX) totals.add('AP75', mean);
      totals.add(recall, countFound(images, area, t, AP_MAX_DETECTIONS) / objects);
      if (area !== ALL) continue;
      totals.add('AR1', countFound(images, area, t, MAX_DETECTIONS[0]) / objects);
      totals.add('AR10', countFound(images, area, t, MAX_DETECTIONS[1]) / objects);
    }
  }
}

function outcomesInOrder(
  images: readonly ImageMatches[],
  ranking: ReturnType<typeof rankAcrossImages>,
  area: number,
  t: number,
): Uint8Array {
  const outcomes = new Uint8Array(ranking.image.length);
  for (let i = 0; i < outcomes.length; i++) {
    const image = images[ranking.image[i]!]!;
    outcomes[i] = image.outcomes[(area * THRESHOLDS + t) * image.scores.length + ranking.detection[i]!]!;
  }
  return outcomes;
}

/**
 * Returns the mean over the recall points of the best precision at that recall or a higher one.
 *
 * Precision falls with every false positive and recall rises only with true positives, so the curve is determined by its
 * true positives: `precisions[c]` is the precision when the (c+1)-th object is found.
 */
function meanPrecision(outcomes: Uint8Array, objects: number): number {
  const precisions: number[] = [];
  let found = 0;
  let wrong = 0;
  for (const outcome of outcomes) {
    if (outcome === FALSE_POSITIVE) wrong += 1;
    if (outcome !== TRUE_POSITIVE) continue;
    found += 1;
    precisions.push(found / (found + wrong + Number.EPSILON));
  }
  for (let c = precisions.length - 2; c >= 0; c--) precisions[c] = Math.max(precisions[c]!, precisions[c + 1]!);
  let sum = 0;
  let c = 0;
  for (const recall of RECALL_POINTS) {
    while (c < precisions.length && (c + 1) / objects < recall) c += 1;
    if (c === precisions.length) break;
    sum += precisions[c]!;
  }
  return sum / RECALL_POINTS.length;
}

/** Counts the objects found by the first `maxDetections` detections of each image. */
function countFound(images: readonly ImageMatches[], area: number, t: number, maxDetections: number): number {
  let found = 0;
  for (const { scores, outcomes } of images) {
    const row = (area * THRESHOLDS + t) * scores.length;
    const end = Math.min(maxDetections, scores.length);
    for (let d = 0; d < end; d++) if (outcomes[row + d] === TRUE_POSITIVE) found += 1;
  }
  return found;
}
