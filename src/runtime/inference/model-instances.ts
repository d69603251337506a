import type { ModelSpec } from '../../core/model.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { EngineInfo, EngineRequest, RingHandle } from '../../protocol/threads.ts';
import type { StreamModel } from '../stream/stream-port.ts';
import type { InferenceClient } from './inference-client.ts';
import { type BatchSettings, HAND_OVER_INPUTS, type ModelInstance } from './model-instance.ts';
import type { Scheduler } from './scheduler.ts';

/** A model with its engine and batch settings, as it is loaded. */
export interface LoadRequest {
  readonly engine: EngineRequest;
  readonly batching: BatchSettings;
  readonly threads: number;
  /** Boxes below this are not reported; the detector's own threshold if absent. */
  readonly scoreThreshold?: number | undefined;
}

/** A model instance with what the runtime and its streams need to know about it. */
export class LoadedModel implements StreamModel {
  readonly model: ModelInstance;
  readonly spec: ModelSpec;
  readonly scoreThreshold: number;
  readonly threads: number;
  /** null until the engine is loaded. */
  info: EngineInfo | null = null;

  constructor(model: ModelInstance, { engine, threads, scoreThreshold }: LoadRequest) {
    this.model = model;
    this.spec = engine.model.spec;
    this.threads = threads;
    this.scoreThreshold = scoreThreshold ?? this.spec.scoreThreshold;
  }

  get hashesInput(): boolean {
    return this.model.cache !== null;
  }

  get inferenceCalls(): number {
    return this.threads * this.model.callsInFlight;
  }

  get inferenceInputs(): number {
    return this.inferenceCalls * this.model.maxWarmedSize;
  }

  get handOverInputs(): number {
    return this.threads * HAND_OVER_INPUTS;
  }
}

/** The model instances of a runtime. All of them can read the frames of every stream. */
export class ModelInstances {
  readonly #scheduler: Scheduler;
  readonly #loaded = new Map<string, LoadedModel>();
  readonly #rings = new Map<number, RingHandle>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Adds an instance without loading its engine. @throws RangeError if the name is taken. */
  add(name: string, request: LoadRequest): void {
    const model = this.#scheduler.addInstance(name, request.engine, request.batching);
    this.#loaded.set(name, new LoadedModel(model, request));
    for (const ring of this.#rings.values()) model.pool.attach(ring);
  }

  /** Loads and warms the engine of an instance. @throws ENGINE_UNAVAILABLE */
  async start(name: string): Promise<EngineInfo> {
    const loaded = this.get(name);
    loaded.info = await loaded.model.start(loaded.threads);
    this.#scheduler.engineStarted(loaded.model);
    return loaded.info;
  }

  /** Adds and loads an instance beside the others. Nothing is left behind if that fails. */
  async load(name: string, request: LoadRequest): Promise<EngineInfo> {
    if (this.#loaded.has(name)) throw new SightlineError('MODEL_BUSY', `a model "${name}" is already loaded`);
    this.add(name, request);
    try {
      return await this.start(name);
    } catch (error) {
      await this.unload(name);
      throw error;
    }
  }

  /**
   * Ends an instance once no batch of it runs. It is gone before anything else can begin to use it.
   *
   * @param refuse - throws if it must stay; called right before it is removed.
   * @throws MODEL_NOT_FOUND; MODEL_BUSY if streams use it by then.
   */
  async unload(name: string, refuse: () => void = () => {}): Promise<void> {
    while (this.get(name).model.isBusy) await this.#scheduler.idle(name);
    refuse();
    const loop = this.#scheduler.removeInstance(name);
    this.#loaded.delete(name);
    await loop.shutdown();
  }

  get names(): readonly string[] {
    return [...this.#loaded.keys()];
  }

  get all(): readonly LoadedModel[] {
    return [...this.#loaded.values()];
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
    const [a, b] = [this.get(from).spec, this.get(to).spec];
    const differs = a.classes.length !== b.classes.length || a.classes.some((label, i) => label !== b.classes[i]);
    if (differs)
      throw new SightlineError(
        'MODEL_INCOMPATIBLE',
        `${b.name} cannot take the place of ${a.name}: expected the same ${a.classes.length} classes in the same order, received ${b.classes.length}`,
      );
    return JSON.stringify(a.input) === JSON.stringify(b.input);
  }

  /** @throws MODEL_NOT_FOUND */
  get(name: string): LoadedModel {
    const loaded = this.#loaded.get(name);
    if (loaded === undefined)
      throw new SightlineError(
        'MODEL_NOT_FOUND',
        `no model "${name}" is loaded; loaded are: ${[...this.#loaded.keys()].join(', ')}`,
      );
    return loaded;
  }
}
