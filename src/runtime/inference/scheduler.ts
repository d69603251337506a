import type { BatchStreamOptions } from '../../batch/micro-batcher.ts';
import type { Clock } from '../../core/clock.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { EngineRequest } from '../../protocol/threads.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';
import type { ScheduledStream, StreamScheduler } from '../stream/stream-port.ts';
import { InstanceLoop, type SchedulerEvents, type Siblings } from './instance-loop.ts';
import type { BatchSettings, ModelInstance } from './model-instance.ts';
import type { ShadowStream } from './shadow-stream.ts';

/** Shadow work yields: at most one frame waits, none is old, and live work of the same instance goes first. */
const SHADOW_OPTIONS: BatchStreamOptions = { priority: -1000, weight: 1, queueSize: 1, maxAgeMs: 1000 };

/** A candidate that infers a share of a stream's frames, too. */
interface Shadow {
  readonly stream: ShadowStream;
  readonly loop: InstanceLoop;
}

/** Assigns frames to inference threads: one loop for each model instance. Knows which loop serves which stream. */
export class Scheduler implements Siblings, StreamScheduler {
  readonly #events: SchedulerEvents;
  readonly #clock: Clock;
  /** By name of the instance. */
  readonly #loops = new Map<string, InstanceLoop>();
  /** By id of the stream. */
  readonly #shadows = new Map<string, Shadow>();

  constructor(events: SchedulerEvents, clock: Clock) {
    this.#events = events;
    this.#clock = clock;
  }

  /** Adds a model instance; its engine is loaded by `start`. @throws RangeError if the name is taken. */
  addInstance(name: string, request: EngineRequest, settings: BatchSettings): ModelInstance {
    if (this.#loops.has(name)) throw new RangeError(`a model instance "${name}" is already there`);
    const loop = new InstanceLoop(name, request, settings, this, this.#events, this.#clock);
    this.#loops.set(name, loop);
    return loop.model;
  }

  /** @throws RangeError for an unknown instance. */
  serve(stream: ScheduledStream): void {
    this.#loop(stream.instance).serve(stream);
  }

  withdraw(stream: ScheduledStream): readonly InFlightFrame[] {
    return this.#loop(stream.instance).withdraw(stream.id);
  }

  /**
   * Moves a stream to another instance, between two frames: frames that wait go with it in order, those on a thread are
   * finished by the old instance. The stream's frames must be inputs of both.
   *
   * @param rename - makes the stream name the new instance.
   */
  move(stream: ScheduledStream, to: string, rename: () => void): void {
    const target = this.#loop(to);
    const from = this.#loop(stream.instance);
    const isServed = from.streams.has(stream.id);
    const waiting = isServed ? from.withdraw(stream.id) : [];
    rename();
    if (!isServed) return;
    target.serve(stream);
    // Frames that waited in the old cache stood outside its queue.
    target.takeOver(
      stream,
      waiting.toSorted((a, b) => a.meta.frame - b.meta.frame),
    );
  }

  framesArrived(stream: ScheduledStream): void {
    this.#loop(stream.instance).framesArrived(stream);
  }

  /** Submits frames that already wait. Call once an engine has started. */
  engineStarted(model: ModelInstance): void {
    this.#loop(model.name).run();
  }

  /** Lets another instance infer a share of a stream's frames, too. @param shadow - receives them. */
  setShadow(streamId: string, shadow: ShadowStream, instance: string): void {
    this.endShadow(streamId);
    const loop = this.#loop(instance);
    loop.model.batcher.setStream(shadow.id, SHADOW_OPTIONS);
    this.#shadows.set(streamId, { stream: shadow, loop });
  }

  /** Ends the shadow of a stream, if it has one. */
  endShadow(streamId: string): void {
    const shadow = this.#shadows.get(streamId);
    if (shadow === undefined) return;
    this.#shadows.delete(streamId);
    for (const frame of shadow.loop.model.batcher.removeStream(shadow.stream.id)) shadow.stream.drop(frame, 'stopped');
  }

  /** Its queue holds one frame, so what the candidate cannot keep up with is dropped there. */
  shadow(frame: InFlightFrame): void {
    if (this.#shadows.size === 0 || frame.meta.change === 'without-input') return;
    const shadow = this.#shadows.get(frame.streamId);
    if (shadow === undefined) return;
    const { loop, stream } = shadow;
    const second = stream.shadowOf(frame);
    if (second === null) return;
    for (const displaced of loop.model.batcher.add(stream.id, second, this.#clock.now()))
      stream.drop(displaced, 'queue-full');
    loop.run();
  }

  serving(streamId: string): InstanceLoop | null {
    for (const loop of this.#loops.values()) if (loop.streams.has(streamId)) return loop;
    return null;
  }

  /** Resolves the next time that an instance runs no batch; at once if it runs none. */
  idle(name: string): Promise<void> {
    return this.#loop(name).idle();
  }

  /**
   * Removes an instance that runs no batch. @returns its loop, to be shut down.
   *
   * @throws MODEL_BUSY if streams or shadows use it, or a batch runs.
   */
  removeInstance(name: string): InstanceLoop {
    const loop = this.#loop(name);
    const shadows = [...this.#shadows].filter(([, shadow]) => shadow.loop === loop).map(([id]) => id);
    const users = [...loop.streams.keys(), ...shadows, ...(loop.model.isBusy ? ['a batch'] : [])];
    if (users.length > 0)
      throw new SightlineError('MODEL_BUSY', `model "${name}" is in use by ${users.slice(0, 5).join(', ')}`);
    this.#loops.delete(name);
    return loop;
  }

  /** Frames of a stream that wait for a batch. */
  depth(stream: ScheduledStream): number {
    return this.#loop(stream.instance).model.batcher.depth(stream.id);
  }

  async shutdown(): Promise<void> {
    await Promise.all([...this.#loops.values()].map((loop) => loop.shutdown()));
  }

  #loop(instance: string): InstanceLoop {
    const loop = this.#loops.get(instance);
    if (loop === undefined) throw new RangeError(`no model instance "${instance}"`);
    return loop;
  }
}
