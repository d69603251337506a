import type { Clock } from '../../../base/core/clock.ts';
import type { ModelSpec } from '../../../base/core/model.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { foundDifference } from '../../../settings/config/model-fit.ts';
import type { DeviceReport } from '../../../wire/protocol/report.ts';
import type { EngineInfo, EngineRequest, RingHandle } from '../../../wire/protocol/threads.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';
import type { ScheduledStream, StreamModel, StreamScheduler } from '../stream/stream-port.ts';
import { FairShare } from './fair-share.ts';
import type { InferenceClient } from './inference-client.ts';
import { type BatchSettings, HAND_OVER_INPUTS, type ModelInstance } from './model-instance.ts';
import { Scheduler, type SchedulerContext, type SchedulerEvents } from './scheduler.ts';
import type { Shadows } from './shadows.ts';

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
  readonly scheduler: Scheduler;
  readonly spec: ModelSpec;
  readonly hash: string;
  readonly scoreThreshold: number;
  readonly threads: number;
  /** null until the engine is loaded. */
  info: EngineInfo | null = null;

  constructor(scheduler: Scheduler, { engine, threads, scoreThreshold }: LoadRequest) {
    this.scheduler = scheduler;
    this.spec = engine.model.spec;
    this.hash = engine.model.hash;
    this.threads = threads;
    this.scoreThreshold = scoreThreshold ?? this.spec.scoreThreshold;
    if (this.model.readsCrops) this.model.scoreThreshold = this.scoreThreshold;
  }

  get model(): ModelInstance {
    return this.scheduler.model;
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

/** The model instances of a runtime, and the streams that each serves. All of them can read the frames of every stream. */
export class ModelInstances implements StreamScheduler {
  readonly #shadows: Pick<Shadows, 'offer' | 'streamsOf'>;
  readonly #context: SchedulerContext;
  readonly #loaded = new Map<string, LoadedModel>();
  readonly #rings = new Map<number, RingHandle>();

  constructor(
    events: SchedulerEvents,
    clock: Clock,
    shadows: Pick<Shadows, 'offer' | 'streamsOf'>,
    masks: SchedulerContext['masks'],
  ) {
    this.#shadows = shadows;
    const share = new FairShare(() => this.all.map(({ scheduler }) => scheduler), clock);
    this.#context = { events, clock, shadows, share, masks, serving: (streamId) => this.#serving(streamId) };
  }

  /** Adds an instance without loading its engine. @throws RangeError if the name is taken. */
  add(name: string, request: LoadRequest): LoadedModel {
    if (this.#loaded.has(name)) throw new RangeError(`a model instance "${name}" is already there`);
    const scheduler = new Scheduler(name, request.engine, request.batching, this.#context);
    const loaded = new LoadedModel(scheduler, request);
    this.#loaded.set(name, loaded);
    for (const ring of this.#rings.values()) loaded.model.pool.attach(ring);
    return loaded;
  }

  /** Loads and warms the engine of an instance. @throws ENGINE_UNAVAILABLE */
  async start(name: string): Promise<EngineInfo> {
    const loaded = this.get(name);
    loaded.info = await loaded.model.start(loaded.threads);
    // Frames may wait already.
    loaded.scheduler.run();
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
    while (this.get(name).model.isBusy) await this.get(name).scheduler.idle();
    refuse();
    const { scheduler } = this.get(name);
    const users = [...scheduler.streams.keys(), ...this.#shadows.streamsOf(scheduler)];
    if (users.length > 0)
      throw new SightlineError('MODEL_BUSY', `model "${name}" is in use by ${users.slice(0, 5).join(', ')}`);
    this.#loaded.delete(name);
    await scheduler.shutdown();
  }

  serve(stream: ScheduledStream): void {
    this.get(stream.instance).scheduler.serve(stream);
  }

  framesArrived(stream: ScheduledStream): void {
    this.get(stream.instance).scheduler.run(stream);
  }

  withdraw(stream: ScheduledStream): readonly InFlightFrame[] {
    return this.get(stream.instance).scheduler.withdraw(stream.id);
  }

  /**
   * Moves a stream to another instance, between two frames: frames that wait go with it in order, those on a thread are
   * finished by the old instance. The stream's frames must be inputs of both.
   *
   * @param rename - makes the stream name the new instance.
   */
  move(stream: ScheduledStream, to: string, rename: () => void): void {
    const target = this.get(to).scheduler;
    const from = this.get(stream.instance).scheduler;
    const isServed = from.streams.has(stream.id);
    const waiting = isServed ? from.withdraw(stream.id) : [];
    rename();
    if (!isServed) return;
    target.serve(stream);
    // Frames that waited in the old cache stood outside its queue.
    const inOrder = waiting.toSorted((a, b) => a.meta.frame - b.meta.frame);
    target.takeOver(stream, inOrder);
  }

  /** Frames of a stream that wait for a batch. */
  depth(stream: ScheduledStream): number {
    return this.get(stream.instance).model.batcher.depth(stream.id);
  }

  #serving(streamId: string): Scheduler | null {
    for (const { scheduler } of this.#loaded.values()) if (scheduler.streams.has(streamId)) return scheduler;
    return null;
  }

  async shutdown(): Promise<void> {
    await Promise.all(this.all.map(({ scheduler }) => scheduler.shutdown()));
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
   * @throws MODEL_INCOMPATIBLE if they have different classes: trackers, counters and readers would mix them up.
   */
  requireSameClasses(from: string, to: string): void {
    const [a, b] = [this.get(from).spec, this.get(to).spec];
    const difference = foundDifference(a, b);
    if (difference !== null)
      throw new SightlineError('MODEL_INCOMPATIBLE', `${b.name} cannot take the place of ${a.name}: ${difference}`);
  }

  /** Returns whether both take the same input, so that frames of one can be inferred by the other. */
  isSameInput(from: string, to: string): boolean {
    return JSON.stringify(this.get(from).spec.input) === JSON.stringify(this.get(to).spec.input);
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

/**
 * Returns what runs a model.
 *
 * @param request - what the primary engine was asked to be, for the time until it is loaded.
 */
export function deviceReport(
  { model, spec, info }: LoadedModel,
  request: EngineRequest,
  comparison: string | undefined,
): DeviceReport {
  return {
    engine: info?.engine ?? request.engine,
    provider: info?.provider ?? request.provider,
    device: info?.device ?? 'loading',
    precision: info?.precision ?? request.model.precision,
    threads: model.pool.threadCount,
    model: spec.name,
    inputWidth: spec.input.width,
    inputHeight: spec.input.height,
    ...(comparison === undefined ? {} : { comparison }),
  };
}
