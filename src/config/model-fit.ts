import { distance } from 'fastest-levenshtein';
import { SightlineError } from '../errors/sightline-error.ts';
import { modelsOf, type StreamConfig } from './stream.ts';

/** What settings of a stream must fit. */
export interface FittedModel {
  readonly spec: { readonly classes: readonly string[] };
  /** The model reports no box below this. */
  readonly scoreThreshold: number;
}

type FittedSettings = Pick<StreamConfig, 'labels' | 'scoreThreshold' | 'zones' | 'lines'> &
  Partial<Pick<StreamConfig, 'events'>>;

/** Classes that a message names; the others are counted. */
const MOST_NAMED = 12;

/** Returns which settings of a stream a model cannot fulfil, a text each. */
export function modelFaults(stream: FittedSettings, model: FittedModel): string[] {
  const { labels, scoreThreshold, zones, lines, events = [] } = stream;
  const lists = [
    { at: 'labels', list: labels },
    ...zones.map(({ labels: list }, i) => ({ at: `zones[${i}].labels`, list })),
    ...lines.map(({ labels: list }, i) => ({ at: `lines[${i}].labels`, list })),
    ...events.map((rule, i) => ({ at: `events[${i}].labels`, list: 'labels' in rule ? rule.labels : undefined })),
  ];
  const faults = lists.flatMap(({ at, list = [] }) => unknownLabels(at, list, model.spec.classes));
  if (scoreThreshold !== undefined && scoreThreshold < model.scoreThreshold)
    faults.push(
      `scoreThreshold: expected at least ${model.scoreThreshold}, below which the model reports nothing (model.scoreThreshold), received ${scoreThreshold} (number)`,
    );
  return faults;
}

/** Returns a text for each label that is no class, with what there is: the most similar first. @param at - path of the list. */
export function unknownLabels(at: string, labels: readonly string[], classes: readonly string[]): string[] {
  return labels.flatMap((label, i) => unknownLabel(`${at}[${i}]`, label, classes));
}

/** As `unknownLabels`, of one. */
export function unknownLabel(at: string, label: string, classes: readonly string[]): string[] {
  if (classes.includes(label)) return [];
  const byLikeness = classes.toSorted((a, b) => distance(label, a) - distance(label, b));
  const more = classes.length > MOST_NAMED ? ` and ${classes.length - MOST_NAMED} more` : '';
  const known = byLikeness.slice(0, MOST_NAMED).join(', ');
  return [`${at}: expected a class of the model, received "${label}"; it has ${known}${more}`];
}

/**
 * As `requireFit`, for each detector that a stream may use.
 *
 * @param fitOf - undefined: nothing is known of it.
 */
export function requireFits(
  next: StreamConfig,
  fitOf: (name: string | undefined) => FittedModel | undefined,
  current?: StreamConfig,
): void {
  const before = current === undefined ? [] : modelsOf(current);
  for (const name of modelsOf(next)) {
    const model = fitOf(name);
    // What did not fit another model is no excuse.
    if (model !== undefined) requireFit(next, model, before.includes(name) ? current : null);
  }
}

/**
 * @param current - the settings until now: what did not fit before is no reason to refuse another change.
 * @throws CONFIG_INVALID for settings that a model cannot fulfil.
 */
export function requireFit(
  stream: FittedSettings & { readonly id: string },
  model: FittedModel,
  current: FittedSettings | null = null,
): void {
  const before = current === null ? [] : modelFaults(current, model);
  const faults = modelFaults(stream, model).filter((fault) => !before.includes(fault));
  if (faults.length > 0) throw new SightlineError('CONFIG_INVALID', `stream "${stream.id}": ${faults.join('; ')}`);
}
