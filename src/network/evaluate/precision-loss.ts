import type { CocoAnnotations, CocoResult } from './coco-dataset.ts';
import { AREA_RANGES } from './coco-rules.ts';
import { resampledTop1 } from './label-ranks.ts';
import { type BootstrapOptions, estimateLosses, type LossEstimate } from './loss-bootstrap.ts';
import { type CategoryMatches, matchDataset } from './match-dataset.ts';
import { ResampledPrecision } from './resampled-precision.ts';
import { subsetOf } from './split-dataset.ts';

/** COCO's sizes of objects: below 32 x 32 pixels, below 96 x 96, larger. */
export type ObjectSize = 'small' | 'medium' | 'large';

export interface SizeLoss extends LossEstimate {
  readonly size: ObjectSize;
  /** Independent pieces of evidence in which objects of the size occur: pictures, or seconds of video. */
  readonly units: number;
  /** Objects to find. */
  readonly objects: number;
}

/** The loss of one class, and how much data it is based on. */
export interface ClassLoss extends LossEstimate {
  readonly label: string;
  /** Independent pieces of evidence in which the class occurs: pictures, or seconds of video. */
  readonly units: number;
  /** Objects to find. */
  readonly objects: number;
}

export interface PrecisionLoss {
  readonly overall: LossEstimate;
  /** Sizes that occur. */
  readonly bySize: readonly SizeLoss[];
  /** Classes with an object, greatest loss first. */
  readonly byClass: readonly ClassLoss[];
  /** Pictures with an object. */
  readonly pictures: number;
}

/**
 * Estimates how much average precision a candidate loses against a reference on the same pictures, with a paired bootstrap over
 * pictures: both are scored on the same resamples, so the difficulty of a picture affects both alike. For labels of whole pictures the
 * figures are the shares of those whose first class is right.
 *
 * Matching is done once for each side. 1,000 resamples of 100 pictures, 80 classes and 10,000 detections take about a second;
 * other work of the thread runs in between.
 *
 * @throws DATASET_INVALID as `scoreDetections` does.
 */
export async function comparePrecision(
  annotations: CocoAnnotations,
  reference: readonly CocoResult[],
  candidate: readonly CocoResult[],
  options: BootstrapOptions,
): Promise<PrecisionLoss> {
  const matches = [matchDataset(annotations, reference), matchDataset(annotations, candidate)] as const;
  const figuresOn = (results: readonly CocoResult[], side: 0 | 1): ((counts: Int32Array) => Float64Array) => {
    if (annotations.iouType === 'classes') return resampledTop1(annotations, results);
    const precision = new ResampledPrecision(matches[side]);
    return (counts) => precision.figuresOf(counts).all;
  };
  const [before, after] = [figuresOn(reference, 0), figuresOn(candidate, 1)];
  const estimates = await estimateLosses(annotations.images.length, options, (counts) => ({
    reference: before(counts),
    candidate: after(counts),
  }));
  const [overall, ...sizes] = estimates.splice(0, AREA_RANGES.length) as [LossEstimate, ...LossEstimate[]];
  const byClass = annotations.categories.flatMap(({ name }, c): ClassLoss[] => {
    const places = placesWithObjects(matches[0][c]!);
    if (places.length === 0) return [];
    const objects = matches[0][c]!.images.reduce((sum, image) => sum + image.objects[0]!, 0);
    return [{ label: name, ...estimates[c]!, units: places.length, objects }];
  });
  return {
    overall,
    bySize: sizes.flatMap((estimate, i) =>
      Number.isNaN(estimate.loss)
        ? []
        : [{ size: AREA_RANGES[i + 1]!.name as ObjectSize, ...estimate, ...objectsOf(matches[0], i + 1) }],
    ),
    byClass: byClass.sort((a, b) => b.loss - a.loss),
    pictures: new Set(matches[0].flatMap((category) => placesWithObjects(category))).size,
  };
}

function placesWithObjects({ images, places }: CategoryMatches, area = 0): number[] {
  return places.filter((_, i) => images[i]!.objects[area]! > 0);
}

/** Objects of all classes in an area range, and the pictures with one. */
function objectsOf(matches: readonly CategoryMatches[], area: number): Pick<SizeLoss, 'units' | 'objects'> {
  const objects = matches.flatMap(({ images }) => images.map((image) => image.objects[area]!));
  return {
    units: new Set(matches.flatMap((category) => placesWithObjects(category, area))).size,
    objects: objects.reduce((sum, count) => sum + count, 0),
  };
}

/** The loss on the images that carry one tag. */
export interface TagLoss extends LossEstimate {
  readonly tag: string;
  /** Its images with an object. */
  readonly pictures: number;
}

/** Tags on fewer pictures are left out: their interval would be too wide to mean anything. */
const FEWEST_PICTURES = 10;
/** Each tag takes as long as a whole comparison. */
const MOST_TAGS = 12;

/** Compares average precision on the images of each tag, the most frequent tags first; see `comparePrecision`. */
export async function compareByTag(
  annotations: CocoAnnotations,
  reference: readonly CocoResult[],
  candidate: readonly CocoResult[],
  options: BootstrapOptions,
): Promise<TagLoss[]> {
  const places = new Map<string, number[]>();
  for (const [place, { tags = [] }] of annotations.images.entries())
    for (const tag of new Set(tags)) places.set(tag, [...(places.get(tag) ?? []), place]);
  const frequent = [...places].filter(([, found]) => found.length >= FEWEST_PICTURES);
  const losses: TagLoss[] = [];
  for (const [tag, found] of frequent.sort((a, b) => b[1].length - a[1].length).slice(0, MOST_TAGS)) {
    const subset = subsetOf(annotations, found);
    const ids = new Set(subset.images.map(({ id }) => id));
    const of = (results: readonly CocoResult[]): CocoResult[] => results.filter(({ imageId }) => ids.has(imageId));
    const { overall, pictures } = await comparePrecision(subset, of(reference), of(candidate), options);
    if (!Number.isNaN(overall.loss)) losses.push({ tag, pictures, ...overall });
  }
  return losses.sort((a, b) => b.loss - a.loss);
}
