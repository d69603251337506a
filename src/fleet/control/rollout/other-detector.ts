import { basename } from 'node:path';
import { counted } from '../../../base/core/counted.ts';
import { comparedAp, type ReportedSide } from '../../../network/store/reported-ap.ts';
import { type FoundKind, foundDifference } from '../../../settings/config/model-fit.ts';
import type { LabelledVerdict, Version } from '../../../wire/protocol/rollout-records.ts';
import { rolloutErrors } from './rollout-errors.ts';

/** What is known of the network of a version. */
export interface DetectorFacts {
  /** How its outputs become boxes: networks of two families are never two trainings of one. */
  readonly family: string;
  /** AP that its manifest reports, and on what it was measured; null if it reports none. */
  readonly reported: ReportedSide['reported'];
  readonly found: FoundKind;
}

/** Returns the name of a detector that is given by its name or by the path of its file. */
export function detectorNameOf(model: string): string {
  return basename(model).replace(/\.(onnx|ya?ml)$/, '');
}

/** A version with what is known of its network. */
interface Side extends DetectorFacts {
  readonly label: string;
  readonly model: Pick<Version['model'], 'name'>;
  readonly weights: readonly string[];
}

/**
 * Returns the verdict of labels if the candidate is another detector than the control, whose boxes rightly differ; undefined if boxes
 * must agree: for the same network in another precision, and for another training of it without labels.
 *
 * @param given - verdict of the request. Without one, the AP that both manifests report of the same labelled pictures must show that the
 *   candidate is as good.
 * @throws MODEL_INCOMPATIBLE if it has other classes or another task; CONFIG_INVALID if it is another detector, and no labels show that it is
 *   as good, or they are too few or of another control.
 */
export function labelledVerdictOf(
  control: Side,
  candidate: Side,
  given: LabelledVerdict | undefined,
): LabelledVerdict | undefined {
  if (control.weights.join() === candidate.weights.join()) return undefined;
  const difference = foundDifference(control.found, candidate.found);
  if (difference !== null) throw rolloutErrors.otherFindings(control.model.name, candidate.model.name, difference);
  if (given !== undefined) {
    const inUse = detectorNameOf(control.model.name);
    if (given.control !== undefined && given.control !== inUse) throw rolloutErrors.otherLabels(given.control, inUse);
    requireEvidence(given);
    return given;
  }
  const [before, after] = [reportedOf(control), reportedOf(candidate)];
  const compared = comparedAp(before, after);
  if (compared !== null && typeof compared !== 'string') {
    const { controlAp, candidateAp, pictures, on } = compared;
    if (candidateAp >= controlAp) {
      const source = `the manifests of ${after.name} and ${before.name}, measured on the same ${on}`;
      return { controlAp, candidateAp, loss: controlAp - candidateAp, source, pictures };
    }
    const known = `on the same ${on} its manifest reports AP ${candidateAp}, that of the control ${controlAp}`;
    throw rolloutErrors.needsLabels(before.name, after.name, known);
  }
  if (control.family === candidate.family) return undefined;
  throw rolloutErrors.needsLabels(before.name, after.name, compared);
}

function reportedOf({ model: { name }, reported, weights }: Side): ReportedSide {
  return { name, reported, weights };
}

/** Labels on fewer pictures have no interval that means anything. */
const FEWEST_PICTURES = 30;
/** Loss of average precision that the labels must exclude. */
const MOST_LOSS = 0.05;

/** @throws CONFIG_INVALID if labels leave open whether the candidate is much worse. */
function requireEvidence({ pictures, interval }: LabelledVerdict): void {
  if (pictures === undefined || interval === undefined)
    throw rolloutErrors.weakLabels('expected the number of pictures and the interval of the loss, received none');
  const { low, high } = interval;
  if (pictures < FEWEST_PICTURES)
    throw rolloutErrors.weakLabels(`${pictures} pictures are too few, expected at least ${FEWEST_PICTURES}`);
  if (high > MOST_LOSS)
    throw rolloutErrors.weakLabels(
      `on ${pictures} pictures the loss lies between ${low.toFixed(3)} and ${high.toFixed(3)} AP, expected labels that exclude a loss over ${MOST_LOSS}`,
    );
}

/** Says by what another detector is judged, as the end of a sentence. */
export function labelledText({
  controlAp,
  candidateAp,
  loss,
  source,
  pictures,
  interval,
  settled = [],
}: LabelledVerdict): string {
  const figures =
    controlAp === null || candidateAp === null
      ? `${loss > 0 ? 'loses' : 'gains'} ${Math.abs(loss).toFixed(3)} AP`
      : `has AP ${candidateAp.toFixed(3)}, the control ${controlAp.toFixed(3)}`;
  const span = interval === undefined ? '' : ` (loss ${interval.low.toFixed(3)} to ${interval.high.toFixed(3)})`;
  const on = pictures === undefined ? '' : ` on ${counted(pictures, 'picture')}`;
  const people = settled.length === 0 ? '' : `; people have settled ${settled.join(', ')}`;
  return `another detector, judged by labels, and by its agreement with the control only where that is sure: by ${source} it ${figures}${span}${on}${people}`;
}
