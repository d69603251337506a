import type { CocoAnnotations, CocoResult } from './coco-dataset.ts';
import { FALSE_POSITIVE, TRUE_POSITIVE } from './coco-match.ts';
import { type BootstrapOptions, eachOnce, estimateLosses, type LossEstimate, summing } from './loss-bootstrap.ts';
import { type CategoryMatches, matchDataset } from './match-dataset.ts';

/** What two sides publish: detections at or above their own score threshold. A detection is right if it matches an object at IoU 0.5. */
interface Published {
  /** Share of the objects that are found. */
  readonly recall: LossEstimate;
  /** Share of the detections that are right; NaN for a side that publishes nothing. */
  readonly precision: LossEstimate;
  /** Both as one figure, their harmonic mean: what a threshold takes from one and gives to the other hardly changes it. */
  readonly f1: LossEstimate;
}

/** The same of one class. */
export interface PublishedClass extends Published {
  readonly label: string;
  /** Pictures with an object of the class. */
  readonly units: number;
  readonly objects: number;
  readonly foundByReference: number;
  readonly foundByCandidate: number;
}

/** The same of all objects, whatever their class; classes with an object, greatest loss of recall first. */
export interface PublishedLoss extends Published {
  /** Score thresholds of the reference and of the candidate. */
  readonly thresholds: readonly [reference: number, candidate: number];
  readonly byClass: readonly PublishedClass[];
}

/** Results with the score from which on they are published. */
interface ThresholdedResults {
  readonly results: readonly CocoResult[];
  readonly scoreThreshold: number;
}

/** Columns of a group of objects: objects, then for each side those found and the detections that are wrong. */
const COLUMNS = 5;
type Counts = [objects: number, found: number, wrong: number, found: number, wrong: number];
/** Of each group: recall, precision, F1. */
const FIGURES = 3;
const OVERALL = 0;

/**
 * Estimates how much recall and precision a candidate loses at the thresholds that users see, with a paired bootstrap over pictures.
 * Average precision depends on the order of scores alone, so it does not change if all scores fall below the threshold.
 *
 * @throws DATASET_INVALID as `scoreDetections` does.
 */
export async function comparePublished(
  annotations: CocoAnnotations,
  reference: ThresholdedResults,
  candidate: ThresholdedResults,
  options: BootstrapOptions,
): Promise<PublishedLoss> {
  const [wanted, got] = [reference, candidate].map(({ results, scoreThreshold }) =>
    matchDataset(
      annotations,
      results.filter(({ score }) => score >= scoreThreshold),
    ),
  ) as [CategoryMatches[], CategoryMatches[]];
  const groups = 1 + annotations.categories.length;
  const pictures = annotations.images.map(() => new Array<number>(groups * COLUMNS).fill(0));
  for (const [c] of annotations.categories.entries())
    for (const group of [OVERALL, 1 + c]) {
      tally(wanted[c]!, pictures, group * COLUMNS, 1);
      tally(got[c]!, pictures, group * COLUMNS, 3);
    }
  const sums = summing(pictures, groups * COLUMNS);
  const estimates = await estimateLosses(pictures.length, options, (counts) => {
    const all = sums(counts);
    return { reference: figuresOf(all, 1), candidate: figuresOf(all, 3) };
  });
  const estimate = (group: number): Published => {
    const [recall, precision, f1] = estimates.slice(group * FIGURES) as [LossEstimate, LossEstimate, LossEstimate];
    return { recall, precision, f1 };
  };
  const all = sums(eachOnce(pictures.length));
  const byClass = annotations.categories.flatMap(({ name: label }, c): PublishedClass[] => {
    const at = (1 + c) * COLUMNS;
    const [objects, foundByReference, , foundByCandidate] = [...all.subarray(at, at + COLUMNS)] as Counts;
    if (objects === 0) return [];
    const units = pictures.filter((picture) => picture[at]! > 0).length;
    return [{ label, units, objects, foundByReference, foundByCandidate, ...estimate(1 + c) }];
  });
  return {
    thresholds: [reference.scoreThreshold, candidate.scoreThreshold],
    ...estimate(OVERALL),
    byClass: byClass.sort((a, b) => b.recall.loss - a.recall.loss),
  };
}

/** Score thresholds that are tried for a candidate: 0.05 to 0.95. */
const THRESHOLDS = Array.from({ length: 91 }, (_, i) => (5 + i) / 100);

/**
 * Finds the score threshold at which a candidate keeps most of what the reference publishes: the one with the greatest minimum of its
 * recall and its precision, each as a ratio to the reference's. Scores of two detectors mean different things, so the threshold of one says
 * nothing about the other.
 *
 * @param candidate - with scores down to the lowest threshold that is tried.
 * @returns 0.05 to 0.95; null if the reference finds none of the objects, or the candidate none.
 * @throws DATASET_INVALID as `scoreDetections` does.
 */
export function equalThreshold(
  annotations: CocoAnnotations,
  reference: ThresholdedResults,
  candidate: readonly CocoResult[],
): number | null {
  const wanted = rightAndWrong(annotations, reference.results);
  const got = rightAndWrong(annotations, candidate);
  const from = ({ right, wrong }: typeof got, threshold: number): { found: number; precision: number } => {
    const found = right.filter((score) => score >= threshold).length;
    return { found, precision: found / (found + wrong.filter((score) => score >= threshold).length) };
  };
  const own = from(wanted, reference.scoreThreshold);
  let best: { threshold: number; kept: number } | null = null;
  for (const threshold of THRESHOLDS) {
    const { found, precision } = from(got, threshold);
    if (found === 0 || own.found === 0) break;
    const kept = Math.min(found / own.found, precision / own.precision);
    if (best === null || kept > best.kept) best = { threshold, kept };
  }
  return best?.threshold ?? null;
}

/** Scores of the detections of all classes that are right, and of those that are wrong. */
function rightAndWrong(annotations: CocoAnnotations, results: readonly CocoResult[]) {
  const images = matchDataset(annotations, results).flatMap((category) => category.images);
  const scoresOf = (wanted: number): number[] =>
    images.flatMap(({ outcomes, scores }) => [...scores].filter((_, i) => outcomes[i] === wanted));
  return { right: scoresOf(TRUE_POSITIVE), wrong: scoresOf(FALSE_POSITIVE) };
}

/** Adds one side's counts of a category to those of the pictures, from column `at` on; objects are the same on both sides. */
function tally({ images, places }: CategoryMatches, pictures: number[][], at: number, side: 1 | 3): void {
  for (const [i, { outcomes, scores, objects }] of images.entries()) {
    const picture = pictures[places[i]!]!;
    // The first row of outcomes: objects of any size at IoU 0.5.
    const row = outcomes.subarray(0, scores.length);
    const add = (column: number, count: number): void => {
      picture[at + column] = picture[at + column]! + count;
    };
    if (side === 1) add(0, objects[0]!);
    add(side, row.filter((outcome) => outcome === TRUE_POSITIVE).length);
    add(side + 1, row.filter((outcome) => outcome === FALSE_POSITIVE).length);
  }
}

/** Recall, precision and F1 of one side, group by group. */
function figuresOf(sums: Float64Array, side: 1 | 3): number[] {
  const figures: number[] = [];
  for (let at = 0; at < sums.length; at += COLUMNS) {
    const [objects, right, wrong] = [sums[at]!, sums[at + side]!, sums[at + side + 1]!];
    figures.push(right / objects, right / (right + wrong), (2 * right) / (objects + right + wrong));
  }
  return figures;
}
