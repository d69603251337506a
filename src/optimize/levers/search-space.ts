import type { Configuration, LeverId } from '../result.ts';
import { inputShapes } from './input-shapes.ts';
import { LEVER_IDS } from './levers.ts';

export type Engine = Configuration['engine'];
export type Precision = Configuration['precision'];

/** An engine with the number format it computes in. */
export interface EngineFormat {
  readonly engine: Engine;
  readonly precision: Precision;
}

/** What determines the time of an inference. */
export type InferPart = Pick<Configuration, 'model' | 'engine' | 'precision' | 'inputSize'>;

/** A detector that can take the place of the baseline's. */
export interface CandidateModel {
  readonly name: string;
  /** Published input, WIDTHxHEIGHT. */
  readonly inputSize: string;
  /** Whether the sides of its input can be any multiples of 32. */
  readonly anySize: boolean;
  /** AP that its publisher or its manifest states; null if unknown. Only sets the order in which models are tried. */
  readonly reportedAp: number | null;
  /** Formats besides those of the machine, such as int8 where a quantised file exists. */
  readonly extraFormats?: readonly EngineFormat[];
  /** Engines that cannot run it. */
  readonly refusedEngines?: readonly Engine[];
  /** Most frames of one call, if the network has a fixed batch. */
  readonly mostBatch?: number;
}

/** What this machine and this pipeline can do. */
export interface LeverOptions {
  /** Levers to try; absent: all. */
  readonly levers?: readonly LeverId[];
  readonly baseline: Configuration;
  /** Formats that the machine computes natively, int8 excluded: it needs a quantised file (`extraFormats`). */
  readonly formats: readonly EngineFormat[];
  readonly cores: number;
  readonly models: readonly CandidateModel[];
  /** Width / height of the streams' pictures; null if unknown or mixed. */
  readonly streamAspect: number | null;
  readonly streams: number;
  /** Whether an engine runs on a GPU: batches of several frames then raise the throughput. */
  readonly isOnGpu: boolean;
  /** Hardware decoders of this machine, as ffmpeg names them. */
  readonly hwaccels: readonly string[];
  /** Whether full pictures are needed anyway (previews, videos): ffmpeg cannot fit pictures for the model then. */
  readonly needsFullPictures: boolean;
  /** Whether there is a video to judge skipped work on. */
  readonly mayJudgeVideo: boolean;
}

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

const MOST_LANES = 8;
const CPU_BATCHES = [1, 4, 8];
const GPU_BATCHES = [1, 2, 4, 8, 16, 32];
const DELAYS_MS = [0, 5, 20];
const TRACK_BETWEEN = [1, 2, 3, 5];

/** Returns the search space of a machine and a pipeline. */
export function openSpace(options: LeverOptions): SearchSpace {
  const { baseline } = options;
  const levers = (options.levers ?? LEVER_IDS).filter((lever) => isOffered(lever, options));
  const may = new Set(levers);
  const known = options.models.find(({ name }) => name === baseline.model);
  const own: CandidateModel = known ?? {
    ...{ name: baseline.model, inputSize: baseline.inputSize, anySize: false, reportedAp: null },
  };
  const models = may.has('model') ? [own, ...options.models.filter((model) => model !== known)] : [own];
  const parts = models.flatMap((model) => partsOf(model, options, may));
  const keys = new Set(parts.map(partKey));
  const free = new Map(LEVER_IDS.map((lever) => [lever, valuesFor(lever, options)]));
  const isPossible = (configuration: Configuration): boolean =>
    (keys.has(partKey(configuration)) || partKey(configuration) === partKey(baseline)) &&
    // TensorFlow has one inference thread.
    (configuration.engine !== 'tensorflow' || configuration.inferenceThreads === 1) &&
    configuration.maxBatch <= batchLimit(models, configuration, baseline);
  return {
    levers,
    models,
    parts,
    isPossible,
    valuesOf: <L extends LeverId>(lever: L, at: Configuration): readonly Configuration[L][] => {
      if (!may.has(lever)) return [];
      const values = isPartLever(lever) ? [...new Set(parts.map((part) => part[lever]))] : free.get(lever)!;
      return (values as Configuration[L][]).filter((value) => {
        const next = withLever({ models }, at, lever, value);
        return value !== at[lever] && next[lever] === value && isPossible(next);
      });
    },
  };
}

/**
 * Returns a configuration with one lever changed, and with what depends on it: another model brings its published
 * input, tensorflow has one inference thread, a fixed batch limits `maxBatch`.
 */
export function withLever<L extends LeverId>(
  { models }: Pick<SearchSpace, 'models'>,
  at: Configuration,
  lever: L,
  value: Configuration[L],
): Configuration {
  const next: Configuration = { ...at, [lever]: value };
  const model = models.find(({ name }) => name === next.model);
  const inputSize = lever === 'model' && model !== undefined ? model.inputSize : next.inputSize;
  const inferenceThreads = next.engine === 'tensorflow' ? 1 : next.inferenceThreads;
  const maxBatch = lever === 'maxBatch' ? next.maxBatch : Math.min(next.maxBatch, model?.mostBatch ?? next.maxBatch);
  return { ...next, inputSize, inferenceThreads, maxBatch };
}

export const PART_LEVERS = ['model', 'engine', 'precision', 'inputSize'] as const;

/** Levers that leave frames without an inference of their own. */
export const SKIP_LEVERS: readonly LeverId[] = ['skipUnchanged', 'trackBetween'];

export function isPartLever(lever: LeverId): lever is (typeof PART_LEVERS)[number] {
  return (PART_LEVERS as readonly LeverId[]).includes(lever);
}

/** Returns whether some frames are not inferred. */
export function skipsWork({ skipUnchanged, trackBetween }: Configuration): boolean {
  return skipUnchanged || trackBetween > 1;
}

/** Returns whether two configurations skip the same frames. */
export function hasSameSkips(a: Configuration, b: Configuration): boolean {
  return a.skipUnchanged === b.skipUnchanged && a.trackBetween === b.trackBetween;
}

/** Text that is equal for equal parts. */
export function partKey({ model, engine, precision, inputSize }: InferPart): string {
  return [model, engine, precision, inputSize].join(' ');
}

function batchLimit(models: readonly CandidateModel[], { model }: Configuration, baseline: Configuration): number {
  const limit = models.find(({ name }) => name === model)?.mostBatch ?? Number.POSITIVE_INFINITY;
  // The runtime lowers a larger setting by itself, so the baseline stays possible.
  return model === baseline.model ? Math.max(limit, baseline.maxBatch) : limit;
}

/** Levers that have no second value here are not offered. */
function isOffered(lever: LeverId, options: LeverOptions): boolean {
  switch (lever) {
    case 'resizeBy':
      return !options.needsFullPictures;
    case 'hwaccel':
      return options.hwaccels.length > 0;
    case 'skipUnchanged':
    case 'trackBetween':
      return options.mayJudgeVideo;
    case 'model':
      return options.models.some(({ name }) => name !== options.baseline.model);
    case 'inferenceThreads':
    case 'decodeThreads':
    case 'lanes':
      return options.cores > 1;
    default:
      return true;
  }
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

function valuesFor(lever: LeverId, { cores, isOnGpu, hwaccels }: LeverOptions): readonly unknown[] {
  switch (lever) {
    case 'inferenceThreads':
      return counts(cores);
    case 'lanes':
      return counts(Math.min(cores, MOST_LANES));
    case 'decodeThreads':
      return counts(Math.min(cores, MOST_LANES));
    case 'maxBatch':
      return isOnGpu ? GPU_BATCHES : CPU_BATCHES;
    case 'maxDelayMs':
      return DELAYS_MS;
    case 'resizeBy':
      return ['ffmpeg', 'sharp'];
    case 'hwaccel':
      return ['none', ...hwaccels];
    case 'skipUnchanged':
      return [false, true];
    case 'trackBetween':
      return TRACK_BETWEEN;
    default:
      return [];
  }
}

/** 1, 2, 4 ... up to `most`, which is always among them. */
function counts(most: number): number[] {
  const values: number[] = [];
  for (let value = 1; value < most; value *= 2) values.push(value);
  return [...values, most];
}
