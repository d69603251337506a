import type { ModelSpec } from '../../core/model.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { EngineInfo, EngineRequest, RingHandle } from '../../protocol/threads.ts';
import type { InferenceClient } from './inference-client.ts';
import type { BatchSettings, ModelInstance } from './model-instance.ts';
import type { Scheduler } from './scheduler.ts';

/** A model with its engine and batch settings, as it is loaded. */
export interface LoadRequest {
  readonly engine: EngineRequest;
  readonly batching: BatchSettings;
  readonly threads: number;
}

interface Loaded {
  readonly model: ModelInstance;
  readonly spec: ModelSpec;
  info: EngineInfo | null;
}

/** The model instances of a runtime. All of them can read the frames of every stream. */
export class ModelInstances {
  readonly #scheduler: Scheduler;
  readonly #loaded = new Map<string, Loaded>();
  readonly #rings = new Map<number, RingHandle>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Adds an instance without loading its engine. @throws RangeError if the name is taken. */
  add(name: string, { engine, batching }: Pick<LoadRequest, 'engine' | 'batching'>): ModelInstance {
    const model = this.#scheduler.addInstance(name, engine, batching);
    this.#loaded.set(name, { model, spec: engine.model.spec, info: null });
    for (const ring of this.#rings.values()) model.pool.attach(ring);
    return model;
  }

  /** Loads and warms the engine of an instance. @throws ENGINE_UNAVAILABLE */
  async start(name: string, threads: number): Promise<EngineInfo> {
    const loaded = this.#get(name);
    loaded.info = await loaded.model.start(threads);
    this.#scheduler.engineStarted(loaded.model);
    return loaded.info;
  }

  /** Adds and loads an instance beside the others. Nothing is left behind if that fails. */
  async load(name: string, request: LoadRequest): Promise<EngineInfo> {
    if (this.#loaded.has(name)) throw new SightlineError('MODEL_BUSY', `a model "${name}" is already loaded`);
    this.add(name, request);
    try {
      return await this.start(name, request.threads);
    } catch (error) {
      await this.unload(name);
      throw error;
    }
  }

  /** Ends an instance once no batch of it runs. @throws MODEL_BUSY if streams use it. */
  async unload(name: string): Promise<void> {
    this.#get(name);
    await this.#scheduler.removeInstance(name);
    this.#loaded.delete(name);
  }

  model(name: string): ModelInstance {
    return this.#get(name).model;
  }

  spec(name: string): ModelSpec {
    return this.#get(name).spec;
  }

  info(name: string): EngineInfo | null {
    return this.#get(name).info;
  }

  get names(): readonly string[] {
    return [...this.#loaded.keys()];
  }

  get clients(): readonly InferenceClient[] {
    return [...this.#loaded.values()].flatMap(({ model }) => model.pool.clients);
  }

  attach(ring: RingHandle): void {
    this.#rings.set(ring.ringId, ring);
    for (const { model } of this.#loaded.values()) model.pool.attach(ring);
  }

  detach(ringId: number): void {
    this.#rings.delete(ringId);
    for (const { model } of this.#loaded.values()) model.pool.detach(ringId);
  }

  /**
   * Checks that a stream can go from one instance to another.
   *
   * @returns true if both take the same input, so that frames of one can be inferred by the other.
   * @throws MODEL_INCOMPATIBLE if they have different classes: trackers, counters and readers would mix them up.
   */
  isSameInput(from: string, to: string): boolean {
    const [a, b] = [this.spec(from), this.spec(to)];
    const differs = a.classes.length !== b.classes.length || a.classes.some((label, i) => label !== b.classes[i]);
    if (differs)
      throw new SightlineError(
        'MODEL_INCOMPATIBLE',
        `${b.name} cannot take the place of ${a.name}: expected the same ${a.classes.length} classes in the same order, received ${b.classes.length}`,
      );
    return JSON.stringify(a.input) === JSON.stringify(b.input);
  }

  #get(name: string): Loaded {
    const loaded = this.#loaded.get(name);
    if (loaded === undefined)
      throw new SightlineError(
        'MODEL_NOT_FOUND',
        `no model "${name}" is loaded; loaded are: ${[...this.#loaded.keys()].join(', ')}`,
      );
    return loaded;
  }
}
