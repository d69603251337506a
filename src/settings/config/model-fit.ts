import { distance } from 'fastest-levenshtein';
import type { ModelSpec } from '../../base/core/model.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { modelsOf, type StreamConfig } from './stream.ts';

/** What a detector finds: the classes, and whether boxes, masks or key points. */
export type FoundKind = Pick<ModelSpec, 'classes' | 'task' | 'keypoints'>;

/** What settings of a stream must fit. */
export interface FittedModel {
  readonly spec: FoundKind;
  /** The model reports no box below this. */
  readonly scoreThreshold: number;
}

type FittedSettings = Pick<StreamConfig, 'labels' | 'scoreThreshold' | 'zones' | 'lines'> &
  Partial<Pick<StreamConfig, 'events'>>;

/** Classes that a message names; the others are counted. */
const MOST_NAMED = 12;

/**
 * Returns what keeps a detector from taking the place of another on a stream, whose tracker, counts and readers know objects by their
 * class; null if nothing does.
 */
export function foundDifference(now: FoundKind, next: FoundKind): string | null {
  if (now.classes.length !== next.classes.length || now.classes.some((label, i) => label !== next.classes[i]))
    return `expected the same ${now.classes.length} classes in the same order, received ${next.classes.length}`;
  const [own, other] = [now, next].map(({ task = 'boxes', keypoints }) => `${task} ${keypoints ?? ''}`.trimEnd());
  return own === other ? null : `expected task ${own}, received ${other}`;
}

/** The classes of several detectors, each once: those of the first keep their numbers, double names included. */
export function allClasses([own, ...others]: readonly Pick<FoundKind, 'classes'>[]): readonly string[] {
  const known = own?.classes ?? [];
  return [...known, ...new Set(others.flatMap(({ classes }) => classes).filter((label) => !known.includes(label)))];
}

/** Returns a text for each detector of a stream that finds something else than its first. @param models - by name; undefined: the pipeline's own. */
export function mixedModels(models: ReadonlyMap<string | undefined, FittedModel>): string[] {
  const [first, ...others] = models;
  return others.flatMap(([name, { spec }]) => {
    const difference = foundDifference(first![1].spec, spec);
    return difference === null
      ? []
      : [`modelWhen: ${named(name)} cannot take turns with ${named(first![0])}: ${difference}`];
  });
}

function named(model: string | undefined): string {
  return model === undefined ? "the pipeline's own detector" : `"${model}"`;
}

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

/** Returns the fault of a setting that names no detector. @param known - names of the section models. */
export function unknownModel(at: string, name: string, known: Iterable<string>): string {
  return `${at}: expected a name of the section models: ${[...known].join(', ') || 'there is none'}; received "${name}"`;
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
  const { id } = next;
  const models = new Map<string | undefined, FittedModel>();
  for (const name of modelsOf(next)) {
    const model = fitOf(name);
    if (model !== undefined) models.set(name, model);
  }
  const [was, is] = [current && fitOf(current.model), models.get(next.model)];
  const difference = was && is ? foundDifference(was.spec, is.spec) : null;
  const [mixed] =
    difference === null
      ? mixedModels(models)
      : [
          `model: ${named(next.model)} cannot follow ${named(current!.model)}: ${difference}; remove the stream and add it again with the other one`,
        ];
  if (mixed !== undefined) throw new SightlineError('CONFIG_INVALID', `stream "${id}": ${mixed}`);
  const before = current === undefined ? [] : modelsOf(current);
  // What did not fit another model is no excuse.
  for (const [name, model] of models) requireFit(next, model, before.includes(name) ? current : null);
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
