import type { Clock } from '../../../base/core/clock.ts';
import type { DropReason } from '../../../base/core/frame.ts';
import type { MonoMs } from '../../../base/core/units.ts';
import type { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { EngineRequest, FromInference } from '../../../wire/protocol/threads.ts';
import type { BatchTimes } from '../../telemetry/part-times.ts';
import type { MaskReaders } from '../results/mask-readers.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';
import type { ScheduledStream } from '../stream/stream-port.ts';
import type { EnginePoolEvents } from './engine-pool.ts';
import type { FairShare } from './fair-share.ts';
import type { Batch } from './inference-client.ts';
import { LoadShedder, type SheddableStream } from './load-shedder.ts';
import { type BatchSettings, ModelInstance } from './model-instance.ts';

/** What the scheduler reports, for telemetry and the log. */
export interface SchedulerEvents {
  /** An inference thread finished a batch of frames that took `inferMs`, all its calls together. */
  onBusy(inferMs: number, times: BatchTimes): void;
  /** A batch failed; its thread may still run. Called once per batch. @param frames - of those that were being inferred. */
  onBatchFailed(error: SightlineError, model: string, frames: number): void;
  /** @param model - name of the instance. */
  onThreadLost(error: SightlineError, model: string): void;
  onThreadRestarted(model: string): void;
  onThreadsFailed(error: SightlineError, model: string): void;
  /** A cached file of a model had changed, and was made again. */
  onFileDamaged(error: SightlineError): void;
  /** The trial has settled the batch size. */
  onSettled(reason: string): void;
}

/** What the schedulers of all model instances share. */
export interface SchedulerContext {
  readonly events: SchedulerEvents;
  readonly clock: Clock;
  readonly shadows: {
    /** Gives a frame to the candidate as well, if its stream has one. */
    offer(frame: InFlightFrame): void;
  };
  /** Knows the streams whose masks somebody reads. */
  readonly masks: Pick<MaskReaders, 'has'>;
  /** Says when it is the turn of which. */
  readonly share: Pick<FairShare, 'mayRun' | 'began' | 'ended'>;
  /** Returns the scheduler that serves a stream now; null if none does. */
  serving(streamId: string): Scheduler | null;
}

interface Drop {
  readonly frame: InFlightFrame;
  readonly reason: DropReason;
}

/** A frame whose result the cache has. */
interface Known {
  readonly frame: InFlightFrame;
  readonly rows: Float32Array;
}

/** A frame whose inference fails this often is dropped: the frame is the cause, not the thread. */
const MAX_FAILURES = 3;

/**
 * The path of frames through one model instance, in one loop on the main thread. In: *drain* the rings into the streams'
 * queues, where the drop policies apply, *choose* a batch, *submit* it to a free thread. Out: return each result to the
 * ledger of its frame, which publishes it.
 *
 * The loop runs when frames arrive, when an inference thread becomes free, and when a batch's deadline passes. It is not
 * re-entrant: frames are pulled from the streams, and what it decided takes effect when it has ended.
 */
export class Scheduler implements EnginePoolEvents {
  readonly model: ModelInstance;
  readonly #streams = new Map<string, ScheduledStream>();
  readonly #context: SchedulerContext;
  readonly #shedder: LoadShedder;
  #isRunning = false;
  #cancelDeadline: (() => void) | null = null;
  #onIdle: (() => void)[] = [];
  // What takes effect when the loop has ended.
  #drops: Drop[] = [];
  #known: Known[] = [];
  /** Streams with frames that need no inference. */
  #skipping: ScheduledStream[] = [];

  constructor(name: string, request: EngineRequest, settings: BatchSettings, context: SchedulerContext) {
    this.model = new ModelInstance({ name, request, settings, events: this, masks: context.masks });
    this.#context = context;
    this.#shedder = new LoadShedder(context.clock, {
      streams: () => sheddable(this.#streams.values()),
      starvedMs: (nowMs) => this.model.starvedMs(nowMs),
      onShedding: (id, sharers) => this.#limitQueue(id, sharers),
    });
  }

  get streams(): ReadonlyMap<string, ScheduledStream> {
    return this.#streams;
  }

  /** Starts serving a stream, or applies its new policy without touching its frames. */
  serve(stream: ScheduledStream): void {
    this.model.batcher.setStream(stream.id, stream.policy);
    this.#streams.set(stream.id, stream);
  }

  /** Stops serving a stream. @returns its frames of the queue, in order, then those that waited in the cache. */
  withdraw(streamId: string): readonly InFlightFrame[] {
    const { batcher, cache } = this.model;
    const intake = this.#streams.get(streamId)?.intake ?? null;
    this.#streams.delete(streamId);
    // Another instance may have room for all of its frames.
    if (intake !== null) intake.keepRatio = 1;
    const withdrawn = batcher.removeStream(streamId);
    if (cache === null) return withdrawn;
    const others = withdrawn.flatMap((frame) => cache.settle(frame, null));
    // Those of the stream itself are dropped by its caller, like the frames that were in the queue.
    this.#requeue(others.filter((frame) => frame.streamId !== streamId));
    return [...withdrawn, ...others.filter((frame) => frame.streamId === streamId)];
  }

  /** Takes over frames of a stream that another scheduler served, in order. */
  takeOver(stream: ScheduledStream, frames: readonly InFlightFrame[]): void {
    for (const frame of frames) this.#accept(frame);
    this.#settle();
    this.run(stream);
  }

  /**
   * The loop. It does nothing while it runs, or for a stream that is not served.
   *
   * @param arrived - the stream whose lane reported frames; absent if the loop runs for another reason.
   */
  run(arrived?: ScheduledStream): void {
    if (arrived !== undefined && this.#streams.get(arrived.id) !== arrived) return;
    // A candidate may be the model of the stream itself: the loop takes its frame up before it ends.
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      this.#clearDeadline();
      if (arrived?.policy.wake === 'always') {
        // Request first, then drain: a frame that is handed over in between is reported twice, never missed.
        arrived.wakeOnFrame();
        this.#drain(arrived);
      }
      do this.#drainIdle();
      while (this.#submit() && this.#wakeIdle());
    } finally {
      this.#isRunning = false;
    }
    this.#settle();
  }

  /** Moves frames that a lane handed over into the stream's queue. @returns whether there were any to be inferred. */
  #drain(stream: ScheduledStream): boolean {
    let isAny = false;
    let isSkipping = false;
    for (let frame = stream.take(); frame !== null; frame = stream.take()) {
      if (frame.status !== 'waiting') isSkipping = true;
      else {
        isAny = true;
        if (!this.#accept(frame)) continue;
      }
      this.#context.shadows.offer(frame);
    }
    if (isSkipping) this.#skipping.push(stream);
    return isAny;
  }

  /** Puts a frame into its stream's queue, unless the cache has its result or waits for it. @returns whether it is there. */
  #accept(frame: InFlightFrame): boolean {
    const { cache, scoreThreshold } = this.model;
    const answer = cache === null ? null : cache.ask(frame, scoreThreshold, this.model.readsMasks(frame));
    if (answer?.kind === 'rows') this.#known.push({ frame, rows: answer.rows });
    if (answer !== null && answer.kind !== 'unknown') return false;
    this.#enqueue(frame);
    return true;
  }

  #enqueue(frame: InFlightFrame): void {
    const { batcher } = this.model;
    // A free thread takes the oldest frame before it is displaced.
    if (batcher.isFull(frame.streamId)) this.#submit();
    for (const displaced of batcher.add(frame.streamId, frame, this.#context.clock.now()))
      this.#drops.push({ frame: displaced, reason: 'queue-full' });
  }

  /** Drains the streams whose lanes do not report every frame. */
  #drainIdle(): void {
    for (const stream of this.#streams.values()) if (stream.policy.wake === 'when-idle') this.#drain(stream);
  }

  /**
   * Requests a message from those lanes, because a thread is idle. @returns whether frames arrived before the request.
   */
  #wakeIdle(): boolean {
    let isAny = false;
    for (const stream of this.#streams.values()) {
      if (stream.policy.wake !== 'when-idle') continue;
      stream.wakeOnFrame();
      if (this.#drain(stream)) isAny = true;
    }
    return isAny;
  }

  /** Submits batches to free threads. @returns whether a thread is still free. */
  #submit(): boolean {
    const { model } = this;
    this.#clearDeadline();
    for (let thread = model.freeThread(); thread !== null; thread = model.freeThread()) {
      if (!this.#context.share.mayRun(this)) return false;
      const now = this.#context.clock.now();
      const choice = model.choose(now);
      for (const frame of choice.stale) this.#drops.push({ frame, reason: 'stale' });
      if (choice.kind === 'wait')
        this.#cancelDeadline = this.#context.clock.setTimer(() => this.run(), Math.max(0, choice.untilMs - now));
      if (choice.kind !== 'batch') return true;
      for (const batch of choice.batches) {
        this.#context.share.began(this, batch);
        thread.submit(batch);
      }
    }
    return false;
  }

  #clearDeadline(): void {
    this.#cancelDeadline?.();
    this.#cancelDeadline = null;
  }

  /** Lets the decisions take effect. Listeners may change what is served meanwhile, and so run the loop again. */
  #settle(): void {
    const [known, drops, skipping] = [this.#known, this.#drops, this.#skipping];
    if (known.length > 0) this.#known = [];
    if (drops.length > 0) this.#drops = [];
    if (skipping.length > 0) this.#skipping = [];
    for (const { frame, rows } of known) this.#completeCached(frame, rows, this.#context.clock.now());
    for (const { frame, reason } of drops) this.#drop(frame, reason);
    for (const stream of skipping) stream.flush();
  }

  /**
   * Frames of a stream that is shed come in longer intervals, so the same number of them would wait longer. Together the
   * streams keep as many waiting as the threads take at once.
   *
   * @param sharers - streams that are shed together; 0 if as many frames as set may wait.
   */
  #limitQueue(id: string, sharers: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const { policy } = stream;
    const { batcher, batchSize, pool } = this.model;
    const most = policy.queueSize ?? Number.POSITIVE_INFINITY;
    const queueSize =
      sharers === 0 ? policy.queueSize : Math.min(most, Math.ceil((batchSize * pool.threadCount) / sharers));
    batcher.setStream(id, { ...policy, queueSize });
  }

  #completeCached(frame: InFlightFrame, rows: Float32Array, now: MonoMs): void {
    frame.isCached = true;
    frame.batchedMs = now;
    frame.owner.complete(frame, rows, now);
  }

  /** Drops a frame. Equal frames that waited for its result take their place in the queue. */
  #drop(frame: InFlightFrame, reason: DropReason): void {
    if (!this.model.readsCrops && (reason === 'queue-full' || reason === 'stale')) this.#shedder.onWasted();
    const waiting = this.model.cache?.settle(frame, null);
    frame.owner.drop(frame, reason);
    if (waiting !== undefined) this.#requeue(waiting);
  }

  #requeue(frames: readonly InFlightFrame[]): void {
    if (frames.length === 0) return;
    for (const frame of frames) {
      if (frame.status !== 'waiting') continue;
      if (this.#streams.has(frame.streamId)) this.#enqueue(frame);
      else this.#drops.push({ frame, reason: 'stopped' });
    }
    this.#settle();
    this.run();
  }

  /** A thread has finished a batch, and is free. */
  onResult(batch: Batch, result: Extract<FromInference, { type: 'result' }>): void {
    const { cache } = this.model;
    const { beganMs, busyMs, postprocessMs, lengths, rows } = result;
    batch.ran = { beganMs, endedMs: result.endedMs, postprocessMs };
    const endedMs = result.endedMs as MonoMs;
    const { inputs } = batch;
    const frames = batch.frames.length;
    const waitMs = frames === 0 ? 0 : beganMs - batch.frames[0]!.batchedMs;
    const times = { frames, inputs, waitMs, inferMs: busyMs - postprocessMs, postprocessMs };
    // Second stages have figures of their own; these say whether the host keeps up with its frames.
    if (!this.model.readsCrops) this.#context.events.onBusy(busyMs, times);
    const settled = this.model.observe(batch, busyMs);
    if (settled !== null) this.#context.events.onSettled(settled);
    this.#context.share.ended(batch);
    // Submit the next batch to the free thread before processing its results.
    this.run();
    let at = 0;
    for (const [i, frame] of batch.frames.entries()) {
      const end = at + lengths[i]!;
      const own = rows.subarray(at, end);
      const equals = cache?.settle(frame, { rows: own, scoreThreshold: batch.scoreThreshold, hasMasks: batch.masks });
      frame.owner.complete(frame, own, endedMs);
      if (equals !== undefined) for (const equal of equals) this.#completeCached(equal, own, endedMs);
      at = end;
    }
    this.#checkIdle();
  }

  /** A batch failed, or its thread was lost. Frames of files are tried again. */
  onFailed(batch: Batch, error: SightlineError, wasRunning: boolean): void {
    this.#context.share.ended(batch);
    this.#context.events.onBatchFailed(
      error,
      this.model.name,
      wasRunning && !this.model.readsCrops ? batch.frames.length : 0,
    );
    // In reverse, since each frame is requeued before the others.
    for (const frame of batch.frames.toReversed()) {
      if (wasRunning) frame.failures += 1;
      const isWorthIt = frame.owner.retriesFrames && frame.failures < MAX_FAILURES && frame.status === 'waiting';
      // The stream may have moved to another instance meanwhile.
      const home = isWorthIt ? this.#context.serving(frame.streamId) : null;
      if (home === null) this.#drop(frame, 'engine-failed');
      else home.model.batcher.putBack(frame.streamId, frame, this.#context.clock.now());
      if (home !== null && home !== this) home.run();
    }
    this.run();
    this.#checkIdle();
  }

  onThreadLost(error: SightlineError): void {
    this.#context.events.onThreadLost(error, this.model.name);
  }

  onThreadsFailed(error: SightlineError): void {
    this.#context.events.onThreadsFailed(error, this.model.name);
  }

  onFileDamaged(error: SightlineError): void {
    this.#context.events.onFileDamaged(error);
  }

  onThreadRestarted(): void {
    this.#context.events.onThreadRestarted(this.model.name);
    this.run();
  }

  /** Resolves the next time that no batch runs; at once if none does. */
  idle(): Promise<void> {
    if (!this.model.isBusy) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #checkIdle(): void {
    if (this.#onIdle.length === 0 || this.model.isBusy) return;
    const waiting = this.#onIdle;
    this.#onIdle = [];
    for (const resolve of waiting) resolve();
  }

  /** Ends the threads of the instance. */
  async shutdown(): Promise<void> {
    this.#clearDeadline();
    this.#shedder.stop();
    await this.model.pool.shutdown();
  }
}

/** Those of a scheduler's streams whose frames may be shed. */
function* sheddable(streams: Iterable<ScheduledStream>): Iterable<SheddableStream> {
  for (const { id, policy, intake } of streams) {
    const { priority, weight, views = 1 } = policy;
    if (intake !== null) yield { id, priority, weight, views, intake };
  }
}
