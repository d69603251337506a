import type { CocoAnnotations, CocoResult } from './coco-dataset.ts';
import type { BootstrapOptions, LossEstimate } from './loss-bootstrap.ts';
import { comparePrecision } from './precision-loss.ts';
import { subsetOf } from './split-dataset.ts';

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
