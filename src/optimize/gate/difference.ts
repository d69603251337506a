import type { PublishedClass } from '../../evaluate/published-loss.ts';

/**
 * What a candidate does otherwise than the reference, where nothing says which of them is right: an unlabelled clip shows it, or too few labels.
 * It is for people to look at, and refuses nothing.
 */
export interface Difference {
  readonly kind:
    | 'detector'
    | 'class'
    | 'size'
    | 'tracks'
    | 'late'
    | 'line'
    | 'zone'
    | 'attribute'
    | 'events'
    | 'undecided';
  /** The class, size, line, zone or attribute; empty where it is of everything. */
  readonly subject: string;
  /** One sentence with the figures. */
  readonly text: string;
}

/** What labels say of a class. */
type Labelled = Pick<PublishedClass, 'label' | 'units' | 'objects' | 'foundByReference' | 'foundByCandidate'>;

/** Labels judge a class of so many objects in so many pictures by its figures, ... */
export const FEWEST_OF_A_JUDGED_CLASS = { objects: 10, units: 10 };
/**
 * ... and one of which the reference finds so many objects by whether the candidate finds them at all. Two equal detectors that find other
 * objects of a class differ by 7 to 0 once in 128 classes, by 3 to 0 once in 8.
 */
export const FEWEST_FOUND_OF_A_CLASS = { objects: 7, units: 2 };

/**
 * Parts what a clip shows of classes into what labels have judged, and what stays open. A class that labels do judge is judged by them alone.
 *
 * @param classes - of the labelled pictures; null without labels.
 */
export function settledByLabels(
  differences: readonly Difference[],
  classes: readonly Labelled[] | null,
): { readonly open: Difference[]; readonly settled: Difference[] } {
  const [open, settled]: [Difference[], Difference[]] = [[], []];
  for (const difference of differences) {
    if (difference.kind !== 'class' || classes === null) {
      open.push(difference);
      continue;
    }
    const found = classes.find(({ label }) => label === difference.subject);
    const isJudged = found !== undefined && isJudgedByLabels(found);
    const labels = isJudged
      ? `labels: of ${found.objects} objects ${found.foundByReference} were found before, ${found.foundByCandidate} now, which they pass`
      : `labels: ${found === undefined ? 'no object' : `${found.objects} ${found.objects === 1 ? 'object' : 'objects'} in ${found.units} ${found.units === 1 ? 'picture' : 'pictures'}`}, too few to judge`;
    (isJudged ? settled : open).push({ ...difference, text: `${difference.text}; ${labels}` });
  }
  return { open, settled };
}

function isJudgedByLabels({ units, objects, foundByReference }: Labelled): boolean {
  const { objects: found, units: least } = FEWEST_FOUND_OF_A_CLASS;
  if (foundByReference >= found && units >= least) return true;
  return objects >= FEWEST_OF_A_JUDGED_CLASS.objects && units >= FEWEST_OF_A_JUDGED_CLASS.units;
}
