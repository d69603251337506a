import type { BatchConfig } from '../config/batch.ts';
import type { Environment } from '../config/environment.ts';
import type { ModelConfig } from '../config/model-config.ts';
import type { FittedModel } from '../config/model-fit.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { loadConfigured } from '../runtime/model/load-detector.ts';
import { loadBeside } from '../runtime/open-runtime.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { modelSpec } from '../store/manifests.ts';
import { requireModelMemory } from './stream-limits.ts';

type Classified = FittedModel['spec'];

interface NamedModelsOptions {
  /** The detectors by their names, and how frames are batched. */
  readonly config: {
    readonly models: Readonly<Record<string, ModelConfig>>;
    readonly batch: BatchConfig;
  };
  readonly environment: Environment;
  readonly onNotice: (text: string) => void;
}

/** The detectors of a pipeline that streams name. Each is loaded once, when the first stream uses it, beside the pipeline's own. */
export class NamedModels {
  readonly #options: NamedModelsOptions;
  readonly #fits: ReadonlyMap<string, FittedModel>;
  readonly #loaded = new Map<string, Promise<string>>();
  /** What a roll-out has put in the place of one, by its name. */
  readonly #adopted = new Map<string, string>();
  #runtime: Runtime | null = null;

  private constructor(options: NamedModelsOptions, fits: ReadonlyMap<string, FittedModel>) {
    this.#options = options;
    this.#fits = fits;
  }

  /**
   * Reads the manifests of all, and loads none.
   *
   * @param own - the detector of the pipeline itself.
   * @throws CONFIG_INVALID if one has other classes than the pipeline's own; MODEL_*
   */
  static async open(options: NamedModelsOptions, own: Classified): Promise<NamedModels> {
    const { config, environment } = options;
    const fits = new Map<string, FittedModel>();
    for (const [name, model] of Object.entries(config.models)) {
      const spec = modelSpec(await loadConfigured(model, environment));
      const [fault] = otherClasses(name, spec, own);
      if (fault !== undefined) throw new SightlineError('CONFIG_INVALID', fault);
      fits.set(name, { spec, scoreThreshold: model.scoreThreshold ?? spec.scoreThreshold });
    }
    return new NamedModels(options, fits);
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
    const known = [...this.#fits.keys()].join(', ') || 'there is none';
    throw new SightlineError(
      'CONFIG_INVALID',
      `model: expected a name of the section models: ${known}; received "${name}"`,
    );
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
    this.#runtime!.requireSameClasses(instance);
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

/**
 * Returns a text if a detector has other classes than the pipeline's own, by which sinks, trackers and readers know objects; none if it
 * has not.
 */
export function otherClasses(name: string, { classes }: Classified, own: Classified): string[] {
  if (classes.join() === own.classes.join()) return [];
  return [
    `models.${name}: expected the ${own.classes.length} classes of the pipeline's own model in the same order, received ${classes.length}`,
  ];
}
