import type { BatchStreamOptions } from '../../batch/micro-batcher.ts';
import type { Clock } from '../../core/clock.ts';
import { DETECTION_COLUMNS } from '../../core/detection.ts';
import type { DropReason } from '../../core/frame.ts';
import type { MonoMs } from '../../core/units.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { EngineRequest, FromInference } from '../../protocol/threads.ts';
import type { BatchTimes } from '../../telemetry/part-times.ts';
import type { InFlightFrame } from '../stream/frame-ledger.ts';
import type { Intake } from '../stream/intake.ts';
import type { SubmittedBatch } from './inference-client.ts';
import { LoadShedder, type SheddableStream } from './load-shedder.ts';
import { type BatchSettings, ModelInstance } from './model-instance.ts';
import type { ShadowStream } from './shadow-stream.ts';

/** A stream as the scheduler sees it. */
export interface ScheduledStream {
  readonly id: string;
  /** Name of the model instance that infers its frames. */
  readonly instance: string;
  /** Takes the next frame that its lane handed over, oldest first; null if there is none. */
  takeFrame(): InFlightFrame | null;
  /** Requests a message when the lane hands over the next frame. Frames already handed over cause none. */
  wakeOnFrame(): void;
  /** Publishes frames that `takeFrame` did not return because they need no inference. */
  completeSkipped(): void;
  /** Null or absent if none of its frames may be shed: a file, or a stream that gets results without inference. */
  readonly intake?: Intake | null;
}

/** How a stream is served. Live streams and files differ only in these values. */
export interface StreamPolicy extends BatchStreamOptions {
  /**
   * When a lane notifies the main thread of a new frame: always, or only while an inference thread is idle. Until then
   * frames of a file stay in the ring, so a fast detector does not need a message per frame.
   */
  readonly wake: 'always' | 'when-idle';
}

/** What the scheduler reports, for telemetry and the log. */
export interface SchedulerEvents {
  /** An inference thread finished a batch that took `inferMs`, all its calls together. */
  onBusy(inferMs: number, times: BatchTimes): void;
  /** A batch failed; its thread may still run. Called once per batch. @param frames - of those that were being inferred. */
  onBatchFailed(error: SightlineError, frames: number): void;
  /** @param model - name of the instance. */
  onThreadLost(error: SightlineError, model: string): void;
  onThreadRestarted(): void;
  /** The trial has settled the batch size. */
  onSettled(reason: string): void;
}

/** Shadow work yields: at most one frame waits, none is old, and live work of the same instance goes first. */
const SHADOW_OPTIONS: BatchStreamOptions = { priority: -1000, weight: 1, queueSize: 1, maxAgeMs: 1000 };
/** A frame whose inference fails this often is dropped: the frame is the cause, not the thread. */
const MAX_FAILURES = 3;

interface Instance {
  readonly model: ModelInstance;
  readonly streams: Map<string, { readonly stream: ScheduledStream; policy: StreamPolicy }>;
  readonly shedder: LoadShedder;
  cancelDeadline: (() => void) | null;
  /** Called once when no batch of it runs any more. */
  onIdle: (() => void)[];
}

/** A candidate that infers a share of a stream's frames, too. */
interface Shadow {
  readonly stream: ShadowStream;
  readonly instance: Instance;
}

interface Drop {
  readonly frame: InFlightFrame;
  readonly reason: DropReason;
}

/** What the loop decided and what takes effect when it ends. */
interface Outcome {
  readonly drops: Drop[];
  /** Frames whose results the cache has. */
  readonly known: { readonly frame: InFlightFrame; readonly rows: Float32Array }[];
}

/**
 * Assigns frames to inference threads, in one loop on the main thread: *drain* the rings into the streams' queues,
 * where the drop policies apply, *choose* a batch, *submit* it to a free thread.
 *
 * The loop runs when frames arrive (`framesArrived`), when an inference thread becomes free, and when a batch's
 * deadline passes. It is not re-entrant: frames are pulled from the streams, and drops take effect when the loop ends.
 */
export class Scheduler {
  readonly #events: SchedulerEvents;
  readonly #clock: Clock;
  readonly #instances = new Map<string, Instance>();
  /** By id of the stream. */
  readonly #shadows = new Map<string, Shadow>();

  constructor(events: SchedulerEvents, clock: Clock) {
    this.#events = events;
    this.#clock = clock;
  }

  /** Adds a model instance; its engine is loaded by `start`. @throws RangeError if the name is taken. */
  addInstance(name: string, request: EngineRequest, settings: BatchSettings): ModelInstance {
    if (this.#instances.has(name)) throw new RangeError(`a model instance "${name}" is already there`);
    const model: ModelInstance = new ModelInstance(name, request, settings, {
      onResult: (batch, result) => this.#onResult(instance, batch, result),
      onFailed: (batch, error, wasRunning) => this.#onFailed(instance, batch, error, wasRunning),
      onThreadLost: (error) => this.#events.onThreadLost(error, name),
      onThreadRestarted: () => {
        this.#events.onThreadRestarted();
        this.#run(instance);
      },
    });
    const streams: Instance['streams'] = new Map();
    const shedder = new LoadShedder(this.#clock, {
      streams: () => sheddable(streams),
      starvedMs: (nowMs) => model.starvedMs(nowMs),
      onShedding: (id, sharers) => this.#limitQueue(instance, id, sharers),
    });
    const instance: Instance = { model, streams, shedder, cancelDeadline: null, onIdle: [] };
    this.#instances.set(name, instance);
    return model;
  }

  /**
   * Starts serving a stream, or changes its policy without touching its frames. @throws RangeError for an unknown
   * instance.
   */
  serve(stream: ScheduledStream, policy: StreamPolicy): void {
    const { model, streams } = this.#instance(stream.instance);
    model.batcher.setStream(stream.id, policy);
    streams.set(stream.id, { stream, policy });
  }

  /** Stops serving a stream. @returns its waiting frames, in order. */
  withdraw(stream: ScheduledStream): readonly InFlightFrame[] {
    const { model, streams } = this.#instance(stream.instance);
    streams.delete(stream.id);
    // Another instance may have room for all of its frames.
    if (stream.intake != null) stream.intake.keepRatio = 1;
    const withdrawn = model.batcher.removeStream(stream.id);
    if (model.cache === null) return withdrawn;
    const others = withdrawn.flatMap((frame) => model.cache!.settle(frame, null));
    // Those of the stream itself are dropped by its caller, like the frames that were in the queue.
    this.#requeue(
      this.#instance(stream.instance),
      others.filter(({ streamId }) => streamId !== stream.id),
    );
    return [...withdrawn, ...others.filter(({ streamId }) => streamId === stream.id)];
  }

  /**
   * Moves a stream to another instance, between two frames: frames that wait go with it in order, those on a thread are
   * finished by the old instance. The stream's frames must be inputs of both.
   *
   * @param rename - makes the stream name the new instance.
   */
  move(stream: ScheduledStream, to: string, rename: () => void): void {
    const target = this.#instance(to);
    const served = this.#instance(stream.instance).streams.get(stream.id);
    const waiting = served === undefined ? [] : this.withdraw(stream);
    rename();
    if (served === undefined) return;
    this.serve(stream, served.policy);
    const outcome: Outcome = { drops: [], known: [] };
    // Frames that waited in the old cache stood outside its queue.
    const inOrder = waiting.toSorted((a, b) => a.meta.frame - b.meta.frame);
    for (const frame of inOrder) this.#accept(target, frame, outcome);
    this.#settle(target, outcome);
    this.#run(target, target.streams.get(stream.id));
  }

  /** Lets another instance infer a share of a stream's frames, too. @param shadow - receives them. */
  setShadow(streamId: string, shadow: ShadowStream, instance: string): void {
    this.endShadow(streamId);
    const target = this.#instance(instance);
    target.model.batcher.setStream(shadow.id, SHADOW_OPTIONS);
    this.#shadows.set(streamId, { stream: shadow, instance: target });
  }

  /** Ends the shadow of a stream, if it has one. */
  endShadow(streamId: string): void {
    const shadow = this.#shadows.get(streamId);
    if (shadow === undefined) return;
    this.#shadows.delete(streamId);
    for (const frame of shadow.instance.model.batcher.removeStream(shadow.stream.id))
      shadow.stream.drop(frame, 'stopped');
  }

  /** Resolves the next time that an instance runs no batch; at once if it runs none. */
  idle(name: string): Promise<void> {
    const instance = this.#instance(name);
    if (!instance.model.isBusy) return Promise.resolve();
    return new Promise((resolve) => instance.onIdle.push(resolve));
  }

  /**
   * Removes an instance that runs no batch. @returns it, for its threads to be ended.
   *
   * @throws MODEL_BUSY if streams or shadows use it, or a batch runs.
   */
  removeInstance(name: string): ModelInstance {
    const instance = this.#instance(name);
    const shadows = [...this.#shadows].filter(([, shadow]) => shadow.instance === instance).map(([id]) => id);
    const users = [...instance.streams.keys(), ...shadows, ...(instance.model.isBusy ? ['a batch'] : [])];
    if (users.length > 0)
      throw new SightlineError('MODEL_BUSY', `model "${name}" is in use by ${users.slice(0, 5).join(', ')}`);
    instance.cancelDeadline?.();
    instance.shedder.stop();
    this.#instances.delete(name);
    return instance.model;
  }

  /** Frames of a stream that wait for a batch. */
  depth(stream: ScheduledStream): number {
    return this.#instance(stream.instance).model.batcher.depth(stream.id);
  }

  /** Runs the loop after a lane handed over frames of this stream. Does nothing if the stream is not served. */
  framesArrived(stream: ScheduledStream): void {
    const instance = this.#instance(stream.instance);
    const served = instance.streams.get(stream.id);
    if (served?.stream === stream) this.#run(instance, served);
  }

  /** Submits frames that already wait. Call once an engine has started. */
  engineStarted(model: ModelInstance): void {
    this.#run(this.#instance(model.name));
  }

  async shutdown(): Promise<void> {
    const instances = [...this.#instances.values()];
    for (const { cancelDeadline, shedder } of instances) {
      cancelDeadline?.();
      shedder.stop();
    }
    await Promise.all(instances.map(({ model }) => model.pool.shutdown()));
  }

  /** The loop. @param arrived - the stream whose lane reported frames; absent if the loop runs for another reason. */
  #run(instance: Instance, arrived?: { readonly stream: ScheduledStream; readonly policy: StreamPolicy }): void {
    instance.cancelDeadline?.();
    instance.cancelDeadline = null;
    const outcome: Outcome = { drops: [], known: [] };
    if (arrived?.policy.wake === 'always') {
      // Request first, then drain: a frame that is handed over in between is reported twice, never missed.
      arrived.stream.wakeOnFrame();
      this.#drain(instance, arrived.stream, outcome);
    }
    do this.#drainIdle(instance, outcome);
    while (this.#submit(instance, outcome) && this.#wakeIdle(instance, outcome));
    this.#settle(instance, outcome);
    for (const { stream } of instance.streams.values()) stream.completeSkipped();
  }

  /** Moves frames that a lane handed over into the stream's queue. @returns whether there were any. */
  #drain(instance: Instance, stream: ScheduledStream, outcome: Outcome): boolean {
    let frame = stream.takeFrame();
    const isAny = frame !== null;
    for (; frame !== null; frame = stream.takeFrame()) {
      if (this.#accept(instance, frame, outcome)) this.shadow(frame);
    }
    return isAny;
  }

  /** Puts a frame into its stream's queue, unless the cache has its result or waits for it. @returns whether it is there. */
  #accept(instance: Instance, frame: InFlightFrame, outcome: Outcome): boolean {
    const answer = instance.model.cache?.ask(frame, instance.model.scoreThreshold) ?? null;
    if (answer?.kind === 'rows') outcome.known.push({ frame, rows: answer.rows });
    if (answer !== null && answer.kind !== 'unknown') return false;
    this.#enqueue(instance, frame, outcome);
    return true;
  }

  /** Lets the decisions take effect. */
  #settle(instance: Instance, { known, drops }: Outcome): void {
    for (const { frame, rows } of known) this.#completeCached(frame, rows, this.#clock.now());
    for (const { frame, reason } of drops) this.#drop(instance, frame, reason);
  }

  /** Gives a frame to the candidate as well. Its queue holds one frame, so what it cannot keep up with is dropped there. */
  shadow(frame: InFlightFrame): void {
    if (this.#shadows.size === 0 || frame.meta.change === 'without-input') return;
    const shadow = this.#shadows.get(frame.streamId);
    const second = frame.status === 'waiting' ? shadow?.stream.shadowOf(frame) : null;
    if (shadow === undefined || second == null) return;
    const { instance, stream } = shadow;
    for (const displaced of instance.model.batcher.add(stream.id, second, this.#clock.now()))
      stream.drop(displaced, 'queue-full');
    this.#run(instance);
  }

  #enqueue(instance: Instance, frame: InFlightFrame, outcome: Outcome): void {
    const { batcher } = instance.model;
    // A free thread takes the oldest frame before it is displaced.
    if (batcher.isFull(frame.streamId)) this.#submit(instance, outcome);
    for (const displaced of batcher.add(frame.streamId, frame, this.#clock.now()))
      outcome.drops.push({ frame: displaced, reason: 'queue-full' });
  }

  /** Drains the streams whose lanes do not report every frame. */
  #drainIdle(instance: Instance, outcome: Outcome): void {
    for (const { stream, policy } of instance.streams.values())
      if (policy.wake === 'when-idle') this.#drain(instance, stream, outcome);
  }

  /**
   * Requests a message from those lanes, because a thread is idle. @returns whether frames arrived before the request.
   */
  #wakeIdle(instance: Instance, outcome: Outcome): boolean {
    let isAny = false;
    for (const { stream, policy } of instance.streams.values()) {
      if (policy.wake !== 'when-idle') continue;
      stream.wakeOnFrame();
      if (this.#drain(instance, stream, outcome)) isAny = true;
    }
    return isAny;
  }

  /** Submits batches to free threads. @returns whether a thread is still free. */
  #submit(instance: Instance, outcome: Outcome): boolean {
    const { model } = instance;
    instance.cancelDeadline?.();
    instance.cancelDeadline = null;
    for (let thread = model.freeThread(); thread !== null; thread = model.freeThread()) {
      const now = this.#clock.now();
      const choice = model.choose(now);
      for (const frame of choice.stale) outcome.drops.push({ frame, reason: 'stale' });
      if (choice.kind === 'wait')
        instance.cancelDeadline = this.#clock.setTimer(() => this.#run(instance), Math.max(0, choice.untilMs - now));
      if (choice.kind !== 'batch') return true;
      for (const call of choice.calls) {
        for (const frame of call.frames) frame.batchedMs = now;
        thread.submit({ ...call, scoreThreshold: model.scoreThreshold });
      }
    }
    return false;
  }

  /**
   * Frames of a stream that is shed come in longer intervals, so the same number of them would wait longer. Together the
   * streams keep as many waiting as the threads take at once.
   *
   * @param sharers - streams that are shed together; 0 if as many frames as set may wait.
   */
  #limitQueue({ model, streams }: Instance, id: string, sharers: number): void {
    const served = streams.get(id);
    if (served === undefined) return;
    const { policy } = served;
    const queueSize =
      sharers === 0 ? policy.queueSize : Math.ceil((model.batchSize * model.pool.threadCount) / sharers);
    model.batcher.setStream(id, { ...policy, queueSize: Math.min(queueSize!, policy.queueSize!) });
  }

  #completeCached(frame: InFlightFrame, rows: Float32Array, now: MonoMs): void {
    frame.isCached = true;
    frame.batchedMs = now;
    frame.owner.complete(frame, rows, now);
  }

  /** Drops a frame. Equal frames that waited for its result take their place in the queue. */
  #drop(instance: Instance, frame: InFlightFrame, reason: DropReason): void {
    if (reason === 'queue-full' || reason === 'stale') instance.shedder.onWasted();
    const waiting = instance.model.cache?.settle(frame, null) ?? [];
    frame.owner.drop(frame, reason);
    this.#requeue(instance, waiting);
  }

  #requeue(instance: Instance, frames: readonly InFlightFrame[]): void {
    if (frames.length === 0) return;
    const outcome: Outcome = { drops: [], known: [] };
    for (const frame of frames) {
      if (frame.status !== 'waiting') continue;
      if (instance.streams.has(frame.streamId)) this.#enqueue(instance, frame, outcome);
      else outcome.drops.push({ frame, reason: 'stopped' });
    }
    this.#settle(instance, outcome);
    this.#run(instance);
  }

  #onResult(
    instance: Instance,
    batch: SubmittedBatch,
    { beganMs, busyMs, postprocessMs, counts, rows, endedMs }: Extract<FromInference, { type: 'result' }>,
  ): void {
    const frames = batch.frames.length;
    const waitMs = frames === 0 ? 0 : beganMs - batch.frames[0]!.batchedMs;
    this.#events.onBusy(busyMs, { frames, waitMs, inferMs: busyMs - postprocessMs, postprocessMs });
    const settled = instance.model.observe(batch, busyMs);
    if (settled !== null) this.#events.onSettled(settled);
    // Submit the next batch to the free thread before processing its results.
    this.#run(instance);
    let at = 0;
    for (const [i, frame] of batch.frames.entries()) {
      const end = at + counts[i]! * DETECTION_COLUMNS;
      const own = rows.subarray(at, end);
      const waiting = instance.model.cache?.settle(frame, { rows: own, scoreThreshold: batch.scoreThreshold });
      frame.owner.complete(frame, own, endedMs as MonoMs);
      if (waiting !== undefined) for (const equal of waiting) this.#completeCached(equal, own, endedMs as MonoMs);
      at = end;
    }
    this.#checkIdle(instance);
  }

  #onFailed(instance: Instance, batch: SubmittedBatch, error: SightlineError, wasRunning: boolean): void {
    this.#events.onBatchFailed(error, wasRunning ? batch.frames.length : 0);
    // In reverse, since each frame is requeued before the others.
    for (const frame of batch.frames.toReversed()) {
      if (wasRunning) frame.failures += 1;
      const isWorthIt = frame.owner.retriesFrames && frame.failures < MAX_FAILURES && frame.status === 'waiting';
      // The stream may have moved to another instance meanwhile.
      const home = isWorthIt ? this.#serving(frame.streamId) : null;
      if (home === null) this.#drop(instance, frame, 'engine-failed');
      else home.model.batcher.putBack(frame.streamId, frame, this.#clock.now());
      if (home !== null && home !== instance) this.#run(home);
    }
    this.#run(instance);
    this.#checkIdle(instance);
  }

  #serving(streamId: string): Instance | null {
    for (const instance of this.#instances.values()) if (instance.streams.has(streamId)) return instance;
    return null;
  }

  #checkIdle(instance: Instance): void {
    if (instance.onIdle.length > 0 && !instance.model.isBusy)
      for (const resolve of instance.onIdle.splice(0)) resolve();
  }

  #instance(name: string): Instance {
    const instance = this.#instances.get(name);
    if (instance === undefined) throw new RangeError(`no model instance "${name}"`);
    return instance;
  }
}

/** Those of an instance's streams whose frames may be shed. */
function* sheddable(streams: Instance['streams']): Iterable<SheddableStream> {
  for (const { stream, policy } of streams.values()) {
    const { id, intake } = stream;
    const { priority, weight, views = 1 } = policy;
    if (intake != null) yield { id, priority, weight, views, intake };
  }
}
