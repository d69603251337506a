import type { CocoAnnotations, CocoResult } from './coco-dataset.ts';
import { AREA_RANGES } from './coco-rules.ts';
import { checkReferences } from './match-dataset.ts';

/** A picture with labels: categories that are in it. */
interface LabelledPicture {
  readonly labels: ReadonlySet<number>;
  /** Of the first label among the classes that were found, best score first, from 0; infinite if none was found. */
  readonly rank: number;
  /** In the list of images. */
  readonly place: number;
}

/**
 * Ranks each picture's labels among the classes that were found in it; equal scores in the order given. Pictures without a label are left
 * out.
 *
 * @throws DATASET_INVALID as `matchDataset`.
 */
export function labelRanks(
  annotations: CocoAnnotations,
  results: readonly CocoResult[],
  resultsName = 'results',
): LabelledPicture[] {
  checkReferences(annotations, results, resultsName);
  const pictures = new Map(
    annotations.images.map(({ id }, place) => [id, { place, labels: new Set<number>(), found: [] as CocoResult[] }]),
  );
  for (const { imageId, categoryId } of annotations.annotations) pictures.get(imageId)!.labels.add(categoryId);
  for (const result of results) pictures.get(result.imageId)!.found.push(result);
  return [...pictures.values()].flatMap(({ place, labels, found }): LabelledPicture[] => {
    if (labels.size === 0) return [];
    const rank = found.sort((a, b) => b.score - a.score).findIndex(({ categoryId }) => labels.has(categoryId));
    return [{ place, labels, rank: rank === -1 ? Number.POSITIVE_INFINITY : rank }];
  });
}

/**
 * Returns a function for the shares of pictures whose first class is a label, in a resample, as `ResampledPrecision` has its figures: of
 * all pictures, of three sizes, which whole pictures do not have, and of the pictures with each category. NaN without a picture.
 */
export function resampledTop1(
  annotations: CocoAnnotations,
  results: readonly CocoResult[],
): (counts: Int32Array) => Float64Array {
  const columns = new Map(annotations.categories.map(({ id }, i) => [id, AREA_RANGES.length + i]));
  const pictures = labelRanks(annotations, results).map(({ labels, rank, place }) => ({
    place,
    isRight: rank === 0,
    columns: [0, ...[...labels].flatMap((label) => columns.get(label) ?? [])],
  }));
  const all = new Float64Array(AREA_RANGES.length + columns.size);
  const right = new Float64Array(all.length);
  return (counts) => {
    all.fill(0);
    right.fill(0);
    for (const { place, isRight, columns } of pictures)
      for (const column of columns) {
        all[column]! += counts[place]!;
        if (isRight) right[column]! += counts[place]!;
      }
    return right.map((count, column) => count / all[column]!);
  };
}
