import { counted } from '../../../base/core/counted.ts';
import type { DisputedClass } from '../../../network/evaluate/disputed-objects.ts';
import type { PublishedClass } from '../../../network/evaluate/published-loss.ts';

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
type Labelled = Pick<
  PublishedClass,
  'label' | 'units' | 'objects' | 'foundByReference' | 'foundByCandidate' | 'precision'
>;

/** Labels judge a class of so many objects in so many pictures by its figures, ... */
export const FEWEST_OF_A_JUDGED_CLASS = { objects: 10, units: 10 };
/**
 * ... and one of which the reference finds so many objects by whether the candidate finds them at all. Two equal detectors that find other
 * objects of a class differ by 7 to 0 once in 128 classes, by 3 to 0 once in 8.
 */
export const FEWEST_FOUND_OF_A_CLASS = { objects: 7, units: 2 };
/** A clip that shows what is less likely than this, by the labelled pictures, is unlike them: they do not speak for it. */
const LEAST_CHANCE = 0.05;

/**
 * Parts what a clip shows of classes into what labels have judged, and what stays open. A class that labels do judge is judged by them, where
 * they speak for the clip: objects that go missing in a number which the labelled pictures do not explain stay open. A detector that is good by
 * day may be blind by night, and pictures of the day cannot say so.
 *
 * @param classes - of the labelled pictures; null without labels.
 * @param disputed - the objects of the clip that one of the two detectors does not report.
 */
export function settledByLabels(
  differences: readonly Difference[],
  classes: readonly Labelled[] | null,
  disputed: readonly DisputedClass[],
): { readonly open: Difference[]; readonly settled: Difference[] } {
  const [open, settled]: [Difference[], Difference[]] = [[], []];
  for (const difference of differences) {
    if (difference.kind !== 'class' || classes === null) {
      open.push(difference);
      continue;
    }
    const isOfIt = ({ label }: { readonly label: string }): boolean => label === difference.subject;
    const found = classes.find(isOfIt);
    if (found === undefined || !isJudgedByLabels(found)) {
      const much =
        found === undefined ? 'no object' : `${counted(found.objects, 'object')} in ${counted(found.units, 'picture')}`;
      open.push({ ...difference, text: `${difference.text}; labels: ${much}, too few to judge` });
      continue;
    }
    const labels = `labels: of ${found.objects} objects ${found.foundByReference} were found before, ${found.foundByCandidate} now`;
    const gone = disputed.find(isOfIt)?.objects.filter(({ by }) => by === 'today').length ?? 0;
    const isExplained = goneChance(found) ** gone >= LEAST_CHANCE;
    const text = isExplained
      ? 'which they pass'
      : `which does not explain that ${counted(gone, 'object')} of the clip ${gone === 1 ? 'is' : 'are'} missed: the clip is unlike the labelled pictures`;
    (isExplained ? settled : open).push({ ...difference, text: `${difference.text}; ${labels}, ${text}` });
  }
  return { open, settled };
}

/**
 * The chance, by labelled pictures, that one object which the reference reports is not reported by the candidate: it is wrong, or only the
 * reference finds it. Both shares by Laplace's rule of succession, so that few objects prove little.
 */
function goneChance({ foundByReference, foundByCandidate, precision }: Labelled): number {
  const reported = foundByReference / precision.reference;
  const isRight = Number.isFinite(reported) ? (foundByReference + 1) / (reported + 2) : 0.5;
  const isFoundAgain = (Math.min(foundByCandidate, foundByReference) + 1) / (foundByReference + 2);
  return 1 - isRight * isFoundAgain;
}

function isJudgedByLabels({ units, objects, foundByReference }: Labelled): boolean {
  const { objects: found, units: least } = FEWEST_FOUND_OF_A_CLASS;
  if (foundByReference >= found && units >= least) return true;
  return objects >= FEWEST_OF_A_JUDGED_CLASS.objects && units >= FEWEST_OF_A_JUDGED_CLASS.units;
}
