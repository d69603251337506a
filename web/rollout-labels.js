/** @import { LabelledVerdict, ModelSummary } from './lib/client/index.js' */

/** A name of a detector, or the path of its file. @param {string} model */
const nameOf = (model) => (model.split('/').at(-1) ?? model).replace(/\.(onnx|ya?ml)$/, '');

/**
 * What a roll-out from one detector to another needs, as the host will judge it.
 *
 * @param {ModelSummary | undefined} control in use; undefined: it is not among the models
 * @param {ModelSummary} candidate
 * @returns {'nothing' | 'labels' | 'other'} labels: figures on labelled pictures; other: it finds other things, so it cannot be started
 */
export function needOf(control, candidate) {
  if (control === undefined) return 'nothing';
  const [now, next] = [control.labels, candidate.labels];
  if (now !== undefined && next !== undefined && now.join('\n') !== next.join('\n')) return 'other';
  const [controlAp, candidateAp] = [control.reportedAp, candidate.reportedAp];
  const isSame = control.reportedOn != null && control.reportedOn === candidate.reportedOn;
  if (isSame && controlAp !== null && candidateAp !== null) return candidateAp >= controlAp ? 'nothing' : 'labels';
  return control.family === candidate.family ? 'nothing' : 'labels';
}

/**
 * Reads the output of `sightline eval --json` about two detectors.
 *
 * @param {string} text
 * @param {string} file its name
 * @param {string} candidate
 * @returns {LabelledVerdict}
 * @throws Error that says what is wrong with it
 */
export function verdictOf(text, file, candidate) {
  const name = nameOf(candidate);
  const { models, comparisons } = figuresIn(text);
  const [one, control] = [models.find(({ model }) => model === name), models.find(({ model }) => model !== name)];
  if (models.length !== 2 || one === undefined || control === undefined) {
    const found = models.map(({ model }) => model).join(', ') || 'none';
    throw new Error(`${file}: expected the figures of two detectors, ${name} and the one in use, received ${found}.`);
  }
  if (one.ap < control.ap)
    throw new Error(
      `${name} has ${one.ap.toFixed(3)}, ${control.model} ${control.ap.toFixed(3)}: it is worse, so it is not rolled out.`,
    );
  const names = [control.model, name];
  const compared = comparisons.find((found) => names.includes(found.reference) && names.includes(found.candidate));
  if (compared === undefined)
    throw new Error(`${file}: expected a comparison of both with its interval, received none: make it again.`);
  const [low, high] = compared.interval;
  return {
    controlAp: control.ap,
    candidateAp: one.ap,
    loss: control.ap - one.ap,
    pictures: compared.pictures,
    interval: compared.reference === name ? { low: -high, high: -low } : { low, high },
    source: `"sightline eval" of ${file}`,
    control: control.model,
  };
}

/**
 * @typedef {{ reference: string, candidate: string, pictures: number, interval: [number, number] }} Compared
 * @param {string} text
 * @returns {{ models: { model: string, ap: number }[], comparisons: Compared[] }} the first figure of each model
 */
function figuresIn(text) {
  try {
    const { models, comparisons = [] } = JSON.parse(text);
    const found = models.flatMap((/** @type {{ model: unknown, figures: object }} */ { model, figures }) => {
      const [ap] = Object.values(figures);
      return typeof model === 'string' && typeof ap === 'number' ? [{ model, ap }] : [];
    });
    return { models: found, comparisons };
  } catch {
    return { models: [], comparisons: [] };
  }
}
