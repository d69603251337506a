import type { Configuration, LeverId } from '../result.ts';
import { inputShapes } from './input-shapes.ts';
import {
  type CandidateModel,
  type InferPart,
  LEVER_IDS,
  type LeverOptions,
  leverOf,
  partKey,
  valueText,
} from './levers.ts';

/** The values of levers that are possible, and what a model allows. */
export interface SearchSpace {
  readonly levers: readonly LeverId[];
  readonly models: readonly CandidateModel[];
  /** Values of a lever besides the present one that are possible in a configuration. */
  valuesOf<L extends LeverId>(lever: L, at: Configuration): readonly Configuration[L][];
  isPossible(configuration: Configuration): boolean;
  /** Every model, format and size that the levers allow. */
  readonly parts: readonly InferPart[];
}

/** Returns the search space of a machine and a pipeline. */
export function openSpace(options: LeverOptions): SearchSpace {
  const { baseline } = options;
  const levers = (options.levers ?? LEVER_IDS).filter((lever) => leverOf(lever).isOffered?.(options) ?? true);
  const may = new Set(levers);
  const known = options.models.find(({ name }) => name === baseline.model);
  const own: CandidateModel = known ?? {
    name: baseline.model,
    inputSize: baseline.inputSize,
    anySize: false,
    reportedAp: null,
  };
  const models = may.has('model') ? [own, ...options.models.filter((model) => model !== known)] : [own];
  const parts = models.flatMap((model) => partsOf(model, options, may));
  const keys = new Set(parts.map(partKey));
  const isPossible = (configuration: Configuration): boolean =>
    (keys.has(partKey(configuration)) || partKey(configuration) === partKey(baseline)) &&
    LEVER_IDS.every((lever) => leverOf(lever).isPossible?.(configuration, models, baseline) ?? true);
  return {
    levers,
    models,
    parts,
    isPossible,
    valuesOf: <L extends LeverId>(lever: L, at: Configuration): readonly Configuration[L][] => {
      if (!may.has(lever)) return [];
      const values =
        leverOf(lever).values?.(options, at) ?? new Set(parts.map((part) => part[lever as keyof InferPart]));
      return ([...values] as Configuration[L][]).filter((value) => {
        const next = withLever({ models }, at, lever, value);
        const text = valueText(lever, { [lever]: value });
        return text !== valueText(lever, at) && text === valueText(lever, next) && isPossible(next);
      });
    },
  };
}

/**
 * Returns a configuration with one lever changed, and with what goes with it: another model brings its published input, an engine may have one
 * inference thread, a fixed batch limits `maxBatch`.
 */
export function withLever<L extends LeverId>(
  { models }: Pick<SearchSpace, 'models'>,
  at: Configuration,
  lever: L,
  value: Configuration[L],
): Configuration {
  const next: Configuration = { ...at, [lever]: value };
  const fitted = LEVER_IDS.map((each) => [each, leverOf(each).fit?.(next, models, lever) ?? next[each]]);
  return Object.fromEntries(fitted) as unknown as Configuration;
}

function partsOf(model: CandidateModel, options: LeverOptions, may: ReadonlySet<LeverId>): InferPart[] {
  const { baseline, formats, streamAspect } = options;
  const possible = [...formats, ...(model.extraFormats ?? [])].filter(
    ({ engine, precision }) =>
      !(model.refusedEngines ?? []).includes(engine) &&
      (may.has('engine') || engine === baseline.engine) &&
      (may.has('precision') || precision === baseline.precision),
  );
  const isOwn = model.name === baseline.model;
  const published = isOwn ? baseline.inputSize : model.inputSize;
  const sizes =
    may.has('inputSize') && model.anySize
      ? [...new Set([published, ...inputShapes(model.inputSize, streamAspect)])]
      : [published];
  return possible.flatMap((format) => sizes.map((inputSize) => ({ ...format, model: model.name, inputSize })));
}
