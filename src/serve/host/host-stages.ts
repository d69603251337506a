import { statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { isReader, type ModelSpec } from '../../base/core/model.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { loadConfigured } from '../../frame/runtime/model/load-detector.ts';
import { checkModel } from '../../frame/runtime/model/prepare-model.ts';
import { loadBeside } from '../../frame/runtime/open-runtime.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import { builtInTemplate } from '../../frame/runtime/stages/aligned-crop.ts';
import { attributeNames } from '../../frame/runtime/stages/crop-readings.ts';
import type { LoadedStage, SecondStages } from '../../frame/runtime/stages/second-stages.ts';
import type { ModelRoots } from '../../network/store/admit-model.ts';
import { findWeights } from '../../network/store/find-weights.ts';
import { modelSpec } from '../../network/store/manifests.ts';
import type { BatchConfig } from '../../settings/config/batch.ts';
import type { Environment } from '../../settings/config/environment.ts';
import { allClasses, type FoundKind, unknownLabels } from '../../settings/config/model-fit.ts';
import { DETECTOR, type StageConfig } from '../../settings/config/stages.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { requireModelMemory } from './stream-limits.ts';

export interface HostStagesOptions {
  readonly batch: BatchConfig;
  readonly environment: Environment;
  readonly onNotice: (text: string) => void;
  /** The pipeline's. */
  readonly detectors: readonly FoundKind[];
  /** See `DetectorPlaces`. */
  readonly modelRoots?: ModelRoots | undefined;
  /** What they become; default: the second stages of the runtime. */
  readonly into?: SecondStages | undefined;
}

/** The streams of a host, see `HostStreams`. */
interface ChangedStreams {
  change(id: string, next: (current: StreamConfig) => Promise<StreamConfig>): Promise<unknown>;
}

type StageSpec = FoundKind & Pick<ModelSpec, 'family' | 'heads' | 'input'>;

/** The second stages of a pipeline: loads their models, and replaces those that a file which is read again changes. */
export class HostStages {
  readonly #options: HostStagesOptions;
  #loaded: readonly LoadedStage[] = [];
  /** Of all in the process: names of instances are used once. */
  static #count = 0;

  constructor(options: HostStagesOptions) {
    this.#options = options;
  }

  get #names(): readonly string[] {
    return this.#loaded.map(({ config }) => config.name);
  }

  /** Returns the settings of a stream with the names of the second stages that look at its objects. */
  appliedTo(config: StreamConfig): StreamConfig {
    const names = this.#names;
    if (names.length === 0 && config.stages === undefined) return config;
    // A file that was read again may have fewer.
    return { ...config, stages: config.stages?.filter((name) => names.includes(name)) ?? [...names] };
  }

  /** As `requireStages`. */
  requireKnown(config: StreamConfig): StreamConfig {
    return requireStages(config, this.#names);
  }

  /**
   * Makes these the second stages of a runtime. Those that stay the same go on; new ones are loaded before the others are ended.
   *
   * @throws CONFIG_INVALID if they do not fit each other or the detector; MODEL_*, ENGINE_UNAVAILABLE, also if there is too little memory.
   *   All is then as before.
   */
  async use(runtime: Runtime, wanted: readonly StageConfig[]): Promise<void> {
    const before = this.#loaded;
    await this.requireFit(wanted);
    const next: LoadedStage[] = [];
    try {
      for (const config of wanted)
        next.push(before.find((loaded) => isSameModel(loaded.config, config)) ?? (await this.#load(runtime, config)));
    } catch (error) {
      await this.#unload(
        runtime,
        next.filter((loaded) => !before.includes(loaded)),
      );
      throw error;
    }
    this.#loaded = next.map(({ instance }, i) => ({ instance, config: wanted[i]! }));
    runtime.useStages(this.#loaded, this.#options.into);
    await this.#unload(
      runtime,
      before.filter(({ instance }) => !next.some((loaded) => loaded.instance === instance)),
    );
  }

  /**
   * As `use`, while streams run: those whose second stages are others are opened again, unless they had some before.
   *
   * @returns what was changed, for a message; empty if nothing was.
   */
  async follow(runtime: Runtime, streams: ChangedStreams, wanted: readonly StageConfig[]): Promise<string> {
    const [before, named] = [this.#loaded, this.#names];
    await this.use(runtime, wanted);
    if (!isDeepStrictEqual(named, this.#names)) {
      const own = runtime.streams.filter(({ input }) => input.bulk === undefined);
      await Promise.all(own.map(({ id }) => streams.change(id, async (current) => current)));
    }
    return isDeepStrictEqual(before, this.#loaded) ? '' : `; second stages: ${this.#names.join(', ') || 'none'}`;
  }

  /** Checks settings, without loading a model. @throws as `use`, if they do not fit or a model is missing */
  async requireFit(wanted: readonly StageConfig[]): Promise<void> {
    const { environment, detectors, modelRoots } = this.#options;
    const specOf = async ({ name, model }: StageConfig): Promise<StageSpec> =>
      modelSpec(
        await loadConfigured(model, environment, modelRoots).catch((error: unknown) => {
          throw explained(`stages.${name}.model`, error);
        }),
      );
    const specs = new Map<string, StageSpec>();
    for (const stage of wanted) specs.set(stage.name, await specOf(stage));
    const faults = [...stageFaults(wanted, specs, detectors).values()].flat();
    if (faults.length > 0) throw new SightlineError('CONFIG_INVALID', faults.join('; '));
  }

  async #load(runtime: Runtime, config: StageConfig): Promise<LoadedStage> {
    const { batch, environment, onNotice, modelRoots } = this.#options;
    requireModelMemory(`stages.${config.name}`);
    HostStages.#count += 1;
    // No name of the section models has a colon.
    const instance = `stage:${config.name}:${HostStages.#count}`;
    const options = { model: config.model, batch, environment, onNotice, modelRoots };
    await loadBeside(runtime, instance, options, { readsCrops: true });
    return { config, instance };
  }

  async #unload(runtime: Runtime, stages: readonly LoadedStage[]): Promise<void> {
    await Promise.all(stages.map(({ instance }) => runtime.unloadModel(instance)));
  }
}

/** Returns the settings of a stream. @throws CONFIG_INVALID if they name a second stage which does not exist. */
export function requireStages(config: StreamConfig, names: readonly string[]): StreamConfig {
  const unknown = config.stages?.find((name) => !names.includes(name));
  if (unknown === undefined) return config;
  const known = names.join(', ') || 'there is none';
  throw new SightlineError(
    'CONFIG_INVALID',
    `stream "${config.id}": stages: expected names of the section stages: ${known}; received "${unknown}"`,
  );
}

function isSameModel(a: StageConfig, b: StageConfig): boolean {
  return a.name === b.name && isDeepStrictEqual(a.model, b.model);
}

/** Says at a model that is neither a detector nor reads crops what a second stage can be. */
function explained(at: string, error: unknown): unknown {
  if (!(error instanceof SightlineError)) return error;
  const isOther = error.code === 'MODEL_UNSUPPORTED' || error.code === 'MODEL_AMBIGUOUS';
  const advice = isOther
    ? '. A second stage is a detector, or has model.family heads (an output [n, classes] for each head), ctc ([n, steps, 1 + characters]), slots ([n, slots, characters]) or embedding ([n, length])'
    : '';
  return new SightlineError(error.code, `${at}: ${error.message}${advice}`, error.details, { cause: error });
}

/** Memory that a second stage takes beside its weights, and how often it holds these: as file, compiled and in the library. */
const STAGE_BYTES = 64 * 2 ** 20;
const WEIGHT_COPIES = 4;

interface InspectedStages {
  readonly mistakes: readonly string[];
  readonly warnings: readonly string[];
  /** Names of the attributes that each gives; those whose model was not found are missing. */
  readonly attributes: ReadonlyMap<string, readonly string[]>;
  /** Why second stages that a stream names look at nothing there, a text each. @param detectors - of the stream. */
  readonly idleOn: (stream: StreamConfig, detectors: readonly FoundKind[]) => readonly string[];
}

/**
 * Finds what is wrong with the second stages of a pipeline, without loading a model.
 *
 * @param detectors - as of `stageFaults`.
 * @param where - they run: other machines may have models that this one lacks, and other memory.
 */
export async function inspectStages(
  { stages, streams, defaults }: Pick<PipelineConfig, 'stages' | 'streams' | 'defaults'>,
  detectors: readonly FoundKind[],
  environment: Environment,
  where: 'here' | 'elsewhere' = 'here',
): Promise<InspectedStages> {
  const mistakes: string[] = [];
  const warnings: string[] = [];
  const specs = new Map<string, StageSpec>();
  const { modelPath: searchPath, cacheDir } = environment;
  let freeBytes = process.availableMemory();
  for (const [i, { name, model }] of stages.entries()) {
    const at = `stages[${i}].model`;
    try {
      const manifest = await loadConfigured(model, environment);
      specs.set(name, modelSpec(manifest));
      if (where === 'here') requireModelMemory(name, freeBytes);
      if (model.engine === 'fake') continue;
      const places = { searchPath, cacheDir, onNotice: () => undefined, mayFetch: false };
      const paths = await findWeights(manifest, places).catch((error: Error) => {
        warnings.push(`${at}: ${error.message}`);
        return null;
      });
      if (paths === null) continue;
      await checkModel(manifest, paths, model);
      const bytes = paths.reduce((sum, path) => sum + statSync(path).size, 0);
      freeBytes -= STAGE_BYTES + WEIGHT_COPIES * bytes;
    } catch (error) {
      const isMissing = error instanceof SightlineError && error.code === 'MODEL_NOT_FOUND';
      const texts = where === 'elsewhere' && isMissing ? warnings : mistakes;
      texts.push((explained(at, error) as Error).message);
    }
  }
  const zones = new Set([...streams, defaults].flatMap((stream) => (stream.zones ?? []).map(({ id }) => id)));
  for (const [i, { on }] of stages.entries())
    if (on.zone !== undefined && !zones.has(on.zone))
      mistakes.push(
        `stages[${i}].on.zone: expected a zone of a stream: ${[...zones].join(', ') || 'there is none'}; received "${on.zone}"`,
      );
  const attributes = new Map([...specs].map(([name, spec]) => [name, attributeNames(spec, name)]));
  const faults = stageFaults(stages, specs, detectors);
  mistakes.push(...[...faults.values()].flat());
  const isSound = ({ name, on: { zone } }: StageConfig): boolean =>
    faults.get(name)?.length === 0 && (zone === undefined || zones.has(zone));
  const idleOn: InspectedStages['idleOn'] = (stream, of) => idleStages(stream, stages, specs, of, isSound);
  return { mistakes, warnings, attributes, idleOn };
}

/**
 * As `InspectedStages.idleOn`: the stream has not what they look at, though another one of the pipeline may.
 *
 * @param isSound - false of a second stage that is a mistake on any stream.
 */
function idleStages(
  { stages: named = [], labels, zones }: StreamConfig,
  stages: readonly StageConfig[],
  specs: ReadonlyMap<string, StageSpec>,
  detectors: readonly FoundKind[],
  isSound: (stage: StageConfig) => boolean,
): string[] {
  const reported = allClasses(detectors).filter((label) => labels?.includes(label) !== false);
  const reasonOf = (name: string): string | null => {
    const i = stages.findIndex((stage) => stage.name === name);
    const { on } = stages[i]!;
    const at = `stages[${i}].on`;
    const isFirst = on.from === DETECTOR;
    if (!isFirst && !named.includes(on.from))
      return `${at}.from: expected one that the stream names, too; received "${on.from}"`;
    if (!isFirst && reasonOf(on.from) !== null) return `${at}.from: "${on.from}" finds nothing here`;
    if (on.zone !== undefined && !zones.some(({ id }) => id === on.zone)) {
      const known = zones.map(({ id }) => id).join(', ') || 'there is none';
      return `${at}.zone: expected a zone of the stream: ${known}; received "${on.zone}"`;
    }
    if (!isFirst) return null;
    if (on.labels?.some((label) => reported.includes(label)) === false)
      return unknownLabels(`${at}.labels`, on.labels, reported)[0]!;
    const misfits = on.align === 'keypoints' ? detectors.map((each) => alignFaults(i, on, each, specs.get(name))) : [];
    return misfits.length > 0 && misfits.every((texts) => texts.length > 0) ? misfits[0]![0]! : null;
  };
  const judged = stages.filter((stage) => named.includes(stage.name) && isSound(stage));
  return judged.flatMap(({ name }) => {
    const why = reasonOf(name);
    return why === null ? [] : `${why}; "${name}" looks at nothing here`;
  });
}

/**
 * Returns a text for each setting of second stages that does not fit their models, by name of the second stage.
 *
 * @param specs - by name of the stage; those of models that were not found are missing, and nothing is said about them.
 * @param detectors - of the pipeline; none if they were not found.
 */
function stageFaults(
  stages: readonly StageConfig[],
  specs: ReadonlyMap<string, StageSpec>,
  detectors: readonly FoundKind[],
): Map<string, string[]> {
  const givenBy = new Map<string, string>();
  const byName = new Map<string, string[]>();
  for (const [i, { name, on }] of stages.entries()) {
    const faults: string[] = [];
    byName.set(name, faults);
    const source = on.from === DETECTOR ? null : specs.get(on.from);
    if (source != null && (isReader(source.family) || source.task === 'classes'))
      faults.push(
        `stages[${i}].on.from: expected detector, or a second stage whose model is a detector; "${on.from}" is of family ${source.family}`,
      );
    const sources = source === null ? detectors : source === undefined ? [] : [source];
    if (sources.length > 0)
      faults.push(...unknownLabels(`stages[${i}].on.labels`, on.labels ?? [], allClasses(sources)));
    const spec = specs.get(name);
    if (spec?.task === 'masks')
      faults.push(
        `stages[${i}].model: expected boxes, key points, oriented boxes, classes, text or a vector; it finds ${spec.task}`,
      );
    if (on.align !== undefined && spec !== undefined && !isReader(spec.family) && spec.task !== 'classes')
      faults.push(
        `stages[${i}].on.align: expected a model that reads crops, since what a detector finds in a turned crop has no place in the picture; received family ${spec.family}`,
      );
    if (on.align === 'keypoints') {
      const misfits = sources.map((each) => alignFaults(i, on, each, spec));
      // Of several detectors, one may be for it.
      if (misfits.every((texts) => texts.length > 0)) faults.push(...(misfits[0] ?? []));
    }
    for (const attribute of spec === undefined ? [] : attributeNames(spec, name)) {
      const other = givenBy.get(attribute);
      if (other !== undefined)
        faults.push(`stages[${i}].name: expected an attribute of its own; "${other}" gives ${attribute}, too`);
      givenBy.set(attribute, name);
    }
  }
  return byName;
}

/** @param source - whose objects are aligned. */
function alignFaults(
  i: number,
  { from, template }: StageConfig['on'],
  source: FoundKind,
  reader: StageSpec | undefined,
): string[] {
  const { task = 'boxes', keypoints = 0 } = source;
  const finds = `"${from}" finds ${task === 'keypoints' ? `${keypoints} points` : task}`;
  if (task !== 'keypoints') return [`stages[${i}].on.align: expected a detector with key points; ${finds}`];
  if (template !== undefined && template.length !== keypoints)
    return [
      `stages[${i}].on.template: expected ${keypoints} points, one for each key point; received ${template.length}`,
    ];
  if (template === undefined && reader !== undefined && builtInTemplate(keypoints, reader.input) === null)
    return [`stages[${i}].on.template: expected one, since only faces of 5 points have one of their own; ${finds}`];
  return [];
}
