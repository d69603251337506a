import type { ModelSpec } from '../../base/core/model.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { loadConfigured } from '../../frame/runtime/model/load-detector.ts';
import { loadBeside } from '../../frame/runtime/open-runtime.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import { modelSpec } from '../../network/store/manifests.ts';
import type { BatchConfig } from '../../settings/config/batch.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { ModelConfig } from '../../settings/config/model-config.ts';
import {
  allClasses,
  type FittedModel,
  type FoundKind,
  foundDifference,
  unknownModel,
} from '../../settings/config/model-fit.ts';
import { requireModelMemory } from './stream-limits.ts';

interface NamedModelsOptions {
  /** The detectors by their names, and how frames are batched. */
  readonly config: {
    /** The pipeline's own. */
    readonly model: ModelConfig;
    readonly models: Readonly<Record<string, ModelConfig>>;
    readonly batch: BatchConfig;
  };
  readonly environment: Environment;
  readonly onNotice: (text: string) => void;
}

/** The detectors of a pipeline that streams name. Each is loaded once, when the first stream uses it, beside the pipeline's own. */
export class NamedModels {
  /** What each finds, the pipeline's own first. */
  readonly detectors: readonly FoundKind[];
  /** Of all, those of the pipeline's own first. */
  readonly classes: readonly string[];
  readonly #options: NamedModelsOptions;
  readonly #fits: ReadonlyMap<string, FittedModel>;
  readonly #loaded = new Map<string, Promise<string>>();
  /** What a roll-out has put in the place of one, by its name. */
  readonly #adopted = new Map<string, string>();
  #runtime: Runtime | null = null;

  private constructor(options: NamedModelsOptions, own: ModelSpec, fits: ReadonlyMap<string, FittedModel>) {
    this.#options = options;
    this.#fits = fits;
    this.detectors = [own, ...[...fits.values()].map(({ spec }) => spec)];
    this.classes = allClasses(this.detectors);
  }

  /**
   * Reads the manifests of all, and loads none.
   *
   * @throws MODEL_*
   */
  static async open(options: NamedModelsOptions): Promise<NamedModels> {
    const { config, environment } = options;
    const specOf = async (model: ModelConfig) => modelSpec(await loadConfigured(model, environment));
    const own = await specOf(config.model);
    const fits = new Map<string, FittedModel>();
    for (const [name, model] of Object.entries(config.models)) {
      const spec = await specOf(model);
      fits.set(name, { spec, scoreThreshold: model.scoreThreshold ?? spec.scoreThreshold });
    }
    return new NamedModels(options, own, fits);
  }

  /** Gives them the runtime that runs them. @returns itself */
  runIn(runtime: Runtime): this {
    this.#runtime = runtime;
    return this;
  }

  /** What the settings of a stream must fit. @param name - undefined: the pipeline's own. @throws CONFIG_INVALID */
  fitOf(name: string | undefined): FittedModel {
    if (name === undefined) return this.#runtime!;
    const fit = this.#fits.get(name);
    if (fit !== undefined) return fit;
    throw new SightlineError('CONFIG_INVALID', unknownModel('model', name, this.#fits.keys()));
  }

  /**
   * Loads a detector if it is not loaded yet, or what a roll-out has put in its place.
   *
   * @param name - undefined: the pipeline's own.
   * @returns the name of its instance.
   * @throws CONFIG_INVALID, MODEL_*, ENGINE_UNAVAILABLE, also if there is too little memory; the next call tries again.
   */
  async instanceOf(name: string | undefined): Promise<string> {
    const runtime = this.#runtime!;
    if (name === undefined) return runtime.primary;
    this.fitOf(name);
    return this.#adopted.get(name) ?? this.load(name);
  }

  /** As `instanceOf`, but as the pipeline file names it, whatever is in its place. */
  load(name: string): Promise<string> {
    let loaded = this.#loaded.get(name);
    if (loaded === undefined) {
      loaded = this.#load(this.#runtime!, name);
      this.#loaded.set(name, loaded);
      loaded.catch(() => this.#loaded.delete(name));
    }
    return loaded;
  }

  /** The instance that streams get which name this detector. */
  currentOf(name: string): string {
    return this.#adopted.get(name) ?? name;
  }

  /** Makes streams get a version of a detector instead of what the file names. @throws MODEL_INCOMPATIBLE */
  adopt(name: string, instance: string): void {
    if (this.currentOf(name) === instance) return;
    const { spec } = this.fitOf(name);
    const difference = foundDifference(spec, this.#runtime!.specOf(instance));
    if (difference !== null)
      throw new SightlineError('MODEL_INCOMPATIBLE', `${instance} cannot take the place of ${name}: ${difference}`);
    this.#adopted.set(name, instance);
  }

  /** Notes that the instance of this name was unloaded. */
  forget(name: string): void {
    this.#loaded.delete(name);
  }

  async #load(runtime: Runtime, name: string): Promise<string> {
    const { config, environment, onNotice } = this.#options;
    requireModelMemory(`models.${name}`);
    const request = { model: config.models[name]!, batch: config.batch, environment, onNotice };
    await loadBeside(runtime, name, request, { recordAs: name });
    return name;
  }
}
