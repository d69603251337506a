import type { BatchStreamOptions } from '../batch/micro-batcher.ts';
import type { Clock } from '../core/clock.ts';
import { DETECTION_COLUMNS } from '../core/detection.ts';
import type { DropReason } from '../core/frame.ts';
import type { MonoMs } from '../core/units.ts';
import type { SightlineError } from '../errors/sightline-error.ts';
import type { EngineRequest, FromInference } from '../protocol/threads.ts';
import type { InFlightFrame } from './frame-ledger.ts';
import type { SubmittedBatch } from './inference-client.ts';
import { type BatchSettings, ModelInstance } from './model-instance.ts';

/** A stream as the scheduler sees it. */
export interface ScheduledStream {
  readonly id: string;
  /** Name of the model instance that infers its frames. */
  readonly instance: string;
  /** Takes the next frame that its lane has handed over, oldest first; null if there is none. */
  takeFrame(): InFlightFrame | null;
  /** Asks the lane for a message when it hands over the next frame. Frames that are there already need none. */
  wakeOnFrame(): void;
}

/** How a stream is served. Live streams and files differ in these values only. */
export interface StreamPolicy extends BatchStreamOptions {
  /**
   * When the main thread wants to know of a new frame: at once, or only while a thread has nothing to do. Frames of a file
   * lie in its ring until then, and a fast detector needs no message for each.
   */
  readonly wake: 'always' | 'when-idle';
}

/** What the scheduler reports, for telemetry and the log. */
export interface SchedulerEvents {
  onBusy(inferMs: number): void;
  /** An inference failed, on a thread that may live on. Called for each batch. */
  onBatchFailed(error: SightlineError): void;
  onThreadLost(error: SightlineError): void;
  onThreadRestarted(): void;
  /** The trial has settled the batch size. */
  onSettled(reason: string): void;
}

/** A frame whose inference fails this often is given up: the frame is at fault, not the thread. */
const MAX_FAILURES = 3;

interface Instance {
  readonly model: ModelInstance;
  readonly streams: Map<string, { readonly stream: ScheduledStream; policy: StreamPolicy }>;
  cancelDeadline: (() => void) | null;
}

interface Drop {
  readonly frame: InFlightFrame;
  readonly reason: DropReason;
}

/**
 * Brings frames and inference threads together, in one loop on the main thread: *drain* the rings into the streams' queues,
 * where their drop policies act, *choose* a batch, *submit* it to a free thread.
 *
 * The loop runs at three moments: frames arrived (`framesArrived`), an inference thread became free, a batch's deadline
 * passed. Nothing that it calls calls back into it: frames are pulled from the streams, and drops take effect when it ends.
 */
export class Scheduler {
  readonly #events: SchedulerEvents;
  readonly #clock: Clock;
  readonly #instances = new Map<string, Instance>();

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
      onThreadLost: (error) => this.#events.onThreadLost(error),
      onThreadRestarted: () => {
        this.#events.onThreadRestarted();
        this.#run(instance);
      },
    });
    const instance: Instance = { model, streams: new Map(), cancelDeadline: null };
    this.#instances.set(name, instance);
    return model;
  }

  /** Serves a stream, or changes how one is served without touching its frames. @throws RangeError for an unknown instance. */
  serve(stream: ScheduledStream, policy: StreamPolicy): void {
    const { model, streams } = this.#instance(stream.instance);
    model.batcher.setStream(stream.id, policy);
    streams.set(stream.id, { stream, policy });
  }

  /** Serves a stream no longer. @returns its frames that still waited, in order. */
  withdraw(stream: ScheduledStream): readonly InFlightFrame[] {
    const { model, streams } = this.#instance(stream.instance);
    streams.delete(stream.id);
    return model.batcher.removeStream(stream.id);
  }

  /** Frames of a stream that wait for a batch. */
  depth(stream: ScheduledStream): number {
    return this.#instance(stream.instance).model.batcher.depth(stream.id);
  }

  /** Runs the loop because a lane has handed over frames of this stream. Does nothing for a stream that is not served. */
  framesArrived(stream: ScheduledStream): void {
    const instance = this.#instance(stream.instance);
    const served = instance.streams.get(stream.id);
    if (served?.stream === stream) this.#run(instance, served);
  }

  /** Gives free threads what waits already. Call once an engine has started. */
  engineStarted(model: ModelInstance): void {
    this.#run(this.#instance(model.name));
  }

  async shutdown(): Promise<void> {
    const instances = [...this.#instances.values()];
    for (const instance of instances) instance.cancelDeadline?.();
    await Promise.all(instances.map(({ model }) => model.pool.shutdown()));
  }

  /** The loop. @param arrived - the stream whose lane reported frames, if that is why it runs. */
  #run(instance: Instance, arrived?: { readonly stream: ScheduledStream; readonly policy: StreamPolicy }): void {
    instance.cancelDeadline?.();
    instance.cancelDeadline = null;
    const drops: Drop[] = [];
    if (arrived?.policy.wake === 'always') {
      // First the request, then the look: a frame that is handed over in between is seen twice, never missed.
      arrived.stream.wakeOnFrame();
      this.#drain(instance, arrived.stream, drops);
    }
    do this.#drainIdle(instance, drops);
    while (this.#submit(instance, drops) && this.#wakeIdle(instance, drops));
    for (const { frame, reason } of drops) frame.owner.drop(frame, reason);
  }

  /** Moves what a lane has handed over into the stream's queue. @returns whether there was anything. */
  #drain(instance: Instance, stream: ScheduledStream, drops: Drop[]): boolean {
    const { batcher } = instance.model;
    let frame = stream.takeFrame();
    const isAny = frame !== null;
    for (; frame !== null; frame = stream.takeFrame()) {
      // A free thread takes the oldest before it would be displaced.
      if (batcher.isFull(stream.id)) this.#submit(instance, drops);
      const displaced = batcher.add(stream.id, frame, this.#clock.now());
      if (displaced !== null) drops.push({ frame: displaced, reason: 'queue-full' });
    }
    return isAny;
  }

  /** Drains the streams whose lanes do not report each frame. */
  #drainIdle(instance: Instance, drops: Drop[]): void {
    for (const { stream, policy } of instance.streams.values())
      if (policy.wake === 'when-idle') this.#drain(instance, stream, drops);
  }

  /** A thread has room: asks those lanes for a message. @returns whether frames came before the request did. */
  #wakeIdle(instance: Instance, drops: Drop[]): boolean {
    let isAny = false;
    for (const { stream, policy } of instance.streams.values()) {
      if (policy.wake !== 'when-idle') continue;
      stream.wakeOnFrame();
      if (this.#drain(instance, stream, drops)) isAny = true;
    }
    return isAny;
  }

  /** Fills free threads as far as frames pay. @returns whether a thread still has room. */
  #submit(instance: Instance, drops: Drop[]): boolean {
    const { model } = instance;
    instance.cancelDeadline?.();
    instance.cancelDeadline = null;
    for (let thread = model.freeThread(); thread !== null; thread = model.freeThread()) {
      const now = this.#clock.now();
      const choice = model.choose(now);
      for (const frame of choice.stale) drops.push({ frame, reason: 'stale' });
      if (choice.kind === 'wait')
        instance.cancelDeadline = this.#clock.setTimer(() => this.#run(instance), Math.max(0, choice.untilMs - now));
      if (choice.kind !== 'batch') return true;
      for (const { frames, callSize } of choice.calls) {
        for (const frame of frames) frame.batchedMs = now;
        thread.submit({ frames, callSize, scoreThreshold: model.scoreThreshold }, now);
      }
    }
    return false;
  }

  #onResult(
    instance: Instance,
    batch: SubmittedBatch,
    { busyMs, counts, rows, endedMs }: Extract<FromInference, { type: 'result' }>,
  ): void {
    this.#events.onBusy(busyMs);
    const settled = instance.model.observe(batch, busyMs);
    if (settled !== null) this.#events.onSettled(settled);
    // The thread is free: give it work before spending time on its results.
    this.#run(instance);
    let at = 0;
    for (const [i, frame] of batch.frames.entries()) {
      const end = at + counts[i]! * DETECTION_COLUMNS;
      frame.owner.complete(frame, rows.subarray(at, end), endedMs as MonoMs);
      at = end;
    }
  }

  #onFailed(instance: Instance, batch: SubmittedBatch, error: SightlineError, wasRunning: boolean): void {
    this.#events.onBatchFailed(error);
    // From the last to the first, each put before the others.
    for (const frame of batch.frames.toReversed()) {
      if (wasRunning) frame.failures += 1;
      const isWorthIt = frame.owner.retriesFrames && frame.failures < MAX_FAILURES && frame.status === 'waiting';
      if (isWorthIt) instance.model.batcher.putBack(frame.streamId, frame, this.#clock.now());
      else frame.owner.drop(frame, 'engine-failed');
    }
    this.#run(instance);
  }

  #instance(name: string): Instance {
    const instance = this.#instances.get(name);
    if (instance === undefined) throw new RangeError(`no model instance "${name}"`);
    return instance;
  }
}
