import { createHash } from 'node:crypto';
import type { CocoAnnotations } from './coco-dataset.ts';

/** Places in the list of images. */
export interface DatasetSplit {
  readonly first: readonly number[];
  readonly second: readonly number[];
}

/**
 * Splits a data set by image, so that each class keeps its share in both parts: iterative stratification (Sechidis, Tsoumakas
 * and Vlahavas, "On the stratification of multi-label data", 2011). The rarest class is dealt out first, each of its images to the
 * part that still lacks most of it.
 *
 * The split depends on the images' names and labels alone, not on their order in the file: neighbours in a file often show the
 * same scene, and another order must not give another verdict.
 *
 * @param firstImages - number of images of the first part, 0 to all.
 */
export function splitDataset(annotations: CocoAnnotations, firstImages: number): DatasetSplit {
  const { images, categories } = annotations;
  if (!(Number.isInteger(firstImages) && firstImages >= 0 && firstImages <= images.length))
    throw new RangeError(`firstImages: expected a whole number from 0 to ${images.length}, received ${firstImages}`);
  const share = images.length === 0 ? 0 : firstImages / images.length;
  const labelsOf = labelsByPlace(annotations);
  const room = [firstImages, images.length - firstImages];
  const wanted = new Map(
    categories.map(({ id }) => {
      const count = labelsOf.filter((labels) => labels.has(id)).length;
      return [id, [count * share, count * (1 - share)] as [number, number]];
    }),
  );
  const lot = images.map(({ fileName }) => createHash('sha256').update(fileName).digest('hex'));
  const open = new Set(images.keys());
  const parts: [number[], number[]] = [[], []];
  const deal = (place: number, label: number | null): void => {
    const need = label === null ? room : wanted.get(label)!;
    const isFirst =
      room[1] === 0 || (room[0]! > 0 && (need[0]! > need[1]! || (need[0] === need[1] && room[0]! > room[1]!)));
    const part = isFirst ? 0 : 1;
    parts[part].push(place);
    room[part]! -= 1;
    open.delete(place);
    for (const id of labelsOf[place]!) wanted.get(id)![part] -= 1;
  };
  for (;;) {
    const rarest = rarestLabel(open, labelsOf);
    const places = [...open].filter((place) => rarest === null || labelsOf[place]!.has(rarest));
    if (places.length === 0) break;
    for (const place of places.sort((a, b) => (lot[a]! < lot[b]! ? -1 : 1))) deal(place, rarest);
  }
  const [first, second] = parts.map((part) => part.sort((a, b) => a - b)) as [number[], number[]];
  return { first, second };
}

/** Returns the images at these places, with their annotations, in the order of `places`. */
export function subsetOf(annotations: CocoAnnotations, places: readonly number[]): CocoAnnotations {
  const images = places.map((place) => annotations.images[place]!);
  const ids = new Set(images.map(({ id }) => id));
  return {
    ...annotations,
    images,
    annotations: annotations.annotations.filter(({ imageId }) => ids.has(imageId)),
  };
}

/**
 * Classes of the objects in each image. Crowds and classes that are not in the list of categories are not scored, so they are left
 * out.
 */
function labelsByPlace({ images, annotations, categories }: CocoAnnotations): Set<number>[] {
  const places = new Map(images.map(({ id }, place) => [id, place]));
  const labels = images.map(() => new Set<number>());
  const scored = new Set(categories.map(({ id }) => id));
  for (const { imageId, categoryId, isCrowd } of annotations)
    if (!isCrowd && scored.has(categoryId)) labels[places.get(imageId)!]!.add(categoryId);
  return labels;
}

/** Returns the class with the fewest images left; null if no image with a class is left. */
function rarestLabel(open: ReadonlySet<number>, labelsOf: readonly ReadonlySet<number>[]): number | null {
  const counts = new Map<number, number>();
  for (const place of open) for (const label of labelsOf[place]!) counts.set(label, (counts.get(label) ?? 0) + 1);
  let rarest: number | null = null;
  for (const [label, count] of counts)
    if (rarest === null || count < counts.get(rarest)! || (count === counts.get(rarest) && label < rarest))
      rarest = label;
  return rarest;
}
