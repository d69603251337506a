import type { CocoAnnotation, CocoAnnotations, CocoResult } from './coco-dataset.ts';
import { type ImageMatches, matchImage } from './coco-match.ts';
import { requireShapes } from './coco-shapes.ts';
import { invalid } from './json-entry.ts';

/** The matching of one category's detections in all images. */
export interface CategoryMatches {
  readonly categoryId: number;
  /** Images with an object or a detection of the category, in order of their ids. */
  readonly images: readonly ImageMatches[];
  /** Place of each of them among all images of the data set, which are numbered from 0 in order of their ids. */
  readonly places: readonly number[];
}

/**
 * Matches detections with annotations by the type of the annotations, category by category, in the order of the annotations file.
 *
 * @param results - in the order of their file, which decides between equal scores.
 * @param resultsName - path of that file, for messages.
 * @throws DATASET_INVALID if a result refers to an image that is not in the annotations, if no result refers to one of their categories,
 *   or if an entry lacks what it is matched by.
 */
export function matchDataset(
  annotations: CocoAnnotations,
  results: readonly CocoResult[],
  resultsName = 'results',
): CategoryMatches[] {
  checkReferences(annotations, results, resultsName);
  requireShapes(annotations, results, resultsName);
  const imageIds = annotations.images.map((image) => image.id).sort((a, b) => a - b);
  const objectsByCategory = groupByCategoryAndImage(annotations.annotations);
  const resultsByCategory = groupByCategoryAndImage(results);
  return annotations.categories.map(({ id: categoryId }) => {
    const images: ImageMatches[] = [];
    const places: number[] = [];
    for (const [place, imageId] of imageIds.entries()) {
      const objects: readonly CocoAnnotation[] = objectsByCategory.get(categoryId)?.get(imageId) ?? [];
      const found: readonly CocoResult[] = resultsByCategory.get(categoryId)?.get(imageId) ?? [];
      if (objects.length === 0 && found.length === 0) continue;
      images.push(matchImage(found, objects, annotations.iouType));
      places.push(place);
    }
    return { categoryId, images, places };
  });
}

/** Ranks all detections of a category, best score first; equal scores keep the order of images and of the file. */
export function rankAcrossImages(images: readonly ImageMatches[]): { image: Int32Array; detection: Int32Array } {
  const places: { image: number; detection: number; score: number }[] = [];
  for (const [image, { scores }] of images.entries()) {
    for (const [detection, score] of scores.entries()) places.push({ image, detection, score });
  }
  places.sort((a, b) => b.score - a.score);
  return {
    image: Int32Array.from(places, (place) => place.image),
    detection: Int32Array.from(places, (place) => place.detection),
  };
}

interface Placed {
  readonly imageId: number;
  readonly categoryId: number;
}

/** Groups entries: category id -> image id -> entries, in the order given. */
function groupByCategoryAndImage<T extends Placed>(entries: readonly T[]): Map<number, Map<number, T[]>> {
  const groups = new Map<number, Map<number, T[]>>();
  for (const entry of entries) {
    let byImage = groups.get(entry.categoryId);
    if (byImage === undefined) {
      byImage = new Map();
      groups.set(entry.categoryId, byImage);
    }
    const group = byImage.get(entry.imageId);
    if (group === undefined) byImage.set(entry.imageId, [entry]);
    else group.push(entry);
  }
  return groups;
}

/** Returns the number of results, by category, whose category the annotations do not have: they are left out. */
export function unknownCategories(
  { categories }: Pick<CocoAnnotations, 'categories'>,
  results: readonly Pick<CocoResult, 'categoryId'>[],
): ReadonlyMap<number, number> {
  const known = new Set(categories.map(({ id }) => id));
  const counts = new Map<number, number>();
  for (const { categoryId } of results)
    if (!known.has(categoryId)) counts.set(categoryId, (counts.get(categoryId) ?? 0) + 1);
  return counts;
}

/** @throws DATASET_INVALID if a result refers to no image of the annotations, or none to a category of them */
export function checkReferences(
  annotations: CocoAnnotations,
  results: readonly CocoResult[],
  resultsName: string,
): void {
  const imageIds = new Set(annotations.images.map((image) => image.id));
  const unknownIds = new Set(results.map((result) => result.imageId).filter((id) => !imageIds.has(id)));
  if (unknownIds.size > 0) {
    const [example] = unknownIds;
    const place = `[${results.findIndex((result) => result.imageId === example)}].image_id`;
    const expected = `the id of one of the ${imageIds.size} images of ${annotations.path}`;
    const doubt = `are these results of another data set? unknown ids: ${unknownIds.size}`;
    throw invalid(resultsName, place, `${expected} (${doubt})`, example);
  }
  const categoryIds = new Set(annotations.categories.map((category) => category.id));
  if (results.length > 0 && !results.some((result) => categoryIds.has(result.categoryId))) {
    const expected = `an id of one of the ${categoryIds.size} categories of ${annotations.path}`;
    throw invalid(resultsName, '[0].category_id', expected, results[0]!.categoryId);
  }
}
