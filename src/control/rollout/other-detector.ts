import { basename } from 'node:path';
import { type FoundKind, foundDifference } from '../../config/model-fit.ts';
import type { LabelledVerdict, Version } from '../../protocol/rollout-records.ts';
import { rolloutErrors } from './rollout-errors.ts';

/** What is known of the network of a version. */
export interface DetectorFacts {
  /** How its outputs become boxes: networks of two families are never two trainings of one. */
  readonly family: string;
  /** AP that its manifest reports; null if it reports none. */
  readonly reportedAp: number | null;
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
 * @param given - verdict of the request. Without one, the AP that both manifests report must show that the candidate is as good.
 * @throws MODEL_INCOMPATIBLE if it has other classes or another task; CONFIG_INVALID if it is another detector, and no labels show that it is as good, or they are of another control.
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
    return given;
  }
  const [controlAp, candidateAp] = [control.reportedAp, candidate.reportedAp];
  const areReported = controlAp !== null && candidateAp !== null;
  if (areReported && candidateAp >= controlAp) {
    const source = `the manifests of ${candidate.model.name} and ${control.model.name}`;
    return { controlAp, candidateAp, loss: controlAp - candidateAp, source };
  }
  if (!areReported && control.family === candidate.family) return undefined;
  const known = areReported ? `its manifest reports AP ${candidateAp}, that of the control ${controlAp}` : null;
  throw rolloutErrors.needsLabels(control.model.name, candidate.model.name, known);
}

/** Says by what another detector is judged, as the end of a sentence. */
export function labelledText({ controlAp, candidateAp, loss, source }: LabelledVerdict): string {
  const figures =
    controlAp === null || candidateAp === null
      ? `${loss > 0 ? 'loses' : 'gains'} ${Math.abs(loss).toFixed(3)} AP`
      : `has AP ${candidateAp.toFixed(3)}, the control ${controlAp.toFixed(3)}`;
  return `another detector, judged by labels and not by its agreement with the control: by ${source} it ${figures}`;
}
