import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../../../src/base/core/clock.ts';
import type { MonoMs } from '../../../../../src/base/core/units.ts';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import type { ModelInstance } from '../../../../../src/frame/runtime/inference/model-instance.ts';
import { ModelInstances } from '../../../../../src/frame/runtime/inference/model-instances.ts';
import { Shadows } from '../../../../../src/frame/runtime/inference/shadows.ts';
import type { FrameOwner, InFlightFrame } from '../../../../../src/frame/runtime/stream/in-flight-frame.ts';
import type { RuntimeStream } from '../../../../../src/frame/runtime/stream/runtime-stream.ts';
import type { ScheduledStream, StreamPolicy } from '../../../../../src/frame/runtime/stream/stream-port.ts';
import { fakeEngineRequest, SIDE } from '../../../../support/fake-engine.ts';
import { slotMeta } from '../../../../support/slot-meta.ts';
import { waitFor } from '../../../../support/wait-for.ts';

const SLOTS = 12;
/** A ring that is not attached to any inference thread: a call with one of its frames fails. */
const UNKNOWN_RING = 99;

const FILE: StreamPolicy = { priority: 0, weight: 1, queueSize: null, maxAgeMs: null, wake: 'when-idle' };
const LIVE: StreamPolicy = { priority: 0, weight: 1, queueSize: 2, maxAgeMs: null, wake: 'always' };

const SETTINGS = { maxBatch: 1, maxDelayMs: 5, timeoutMs: 10_000, cacheResults: 0 };

/** A model instance with one real thread of the fake engine, and a stream that may lose nothing. */
class Rig implements ScheduledStream, FrameOwner {
  readonly id = 's';
  instance = 'default';
  policy: StreamPolicy;
  readonly retriesFrames = true;
  readonly inferred: number[] = [];
  readonly dropped: [number, string][] = [];
  readonly busy: number[] = [];
  /** Frames of each batch that failed. */
  readonly failed: number[] = [];
  /** Frames that the lane handed over and the scheduler has not taken yet. */
  readonly ready: InFlightFrame[] = [];
  isListening = false;
  intake: NonNullable<ScheduledStream['intake']> | null = null;
  readonly slots = SlotRing.create({ slots: SLOTS, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
  readonly models: ModelInstances;
  readonly shadows = new Shadows(() => undefined, systemClock);
  readonly model: ModelInstance;

  constructor(policy = FILE, callMs = 2, cacheResults = 0) {
    this.policy = policy;
    this.models = new ModelInstances(
      {
        onBusy: (ms) => void this.busy.push(ms),
        onBatchFailed: (_, _model, frames) => void this.failed.push(frames),
        onThreadLost: () => {},
        onThreadRestarted: () => {},
        onThreadsFailed: () => {},
        onFileDamaged: () => {},
        onSettled: () => {},
      },
      systemClock,
      this.shadows,
      { has: () => false },
    );
    this.model = this.add('default', callMs, { ...SETTINGS, cacheResults });
    this.model.servesLive = policy === LIVE;
    this.models.serve(this);
    this.model.pool.attach({ ringId: 1, buffer: this.slots.buffer, shape: this.slots.shape });
  }

  add(name: string, callMs: number, batching = SETTINGS): ModelInstance {
    return this.models.add(name, { engine: fakeEngineRequest(callMs), batching, threads: 1 }).model;
  }

  /** @param hash - of its input; 0 if it is not hashed. */
  frame(number: number, ringId = 1, hash = 0): InFlightFrame {
    const slot = this.slots.acquire();
    const meta = slotMeta({ frame: number, width: SIDE, height: SIDE, hashHigh: hash, hashLow: hash });
    const time = 0 as MonoMs;
    this.slots.writeMeta(slot, meta);
    const ring = { ringId, slots: this.slots, keepRatio: 1, onEntered: () => {}, onReleased: () => {} };
    return {
      streamId: this.id,
      owner: this,
      ring,
      slot,
      meta,
      capturedMs: time,
      failures: 0,
      status: 'waiting',
      queuedMs: time,
      batchedMs: time,
      inferredMs: time,
      rows: null,
      by: 'inferred',
      batch: null,
      repeats: null,
      model: null,
      isCached: false,
      slotUsers: { count: 1 },
    };
  }

  take(): InFlightFrame | null {
    return this.ready.shift() ?? null;
  }

  wakeOnFrame(): void {
    this.isListening = true;
  }

  flush(): void {}

  complete({ meta }: InFlightFrame): void {
    this.inferred.push(meta.frame);
  }

  drop({ meta }: InFlightFrame, reason: string): void {
    this.dropped.push([meta.frame, reason]);
  }

  /** A lane hands frames over, and sends a message if one was requested. */
  hand(frames: readonly InFlightFrame[]): void {
    this.ready.push(...frames);
    if (!this.isListening) return;
    this.isListening = false;
    this.models.framesArrived(this);
  }

  /** Frames that wait before the engine has started, so that all of them are available at once. */
  async startWith(frames: readonly InFlightFrame[]): Promise<void> {
    this.ready.push(...frames);
    this.models.framesArrived(this);
    await this.models.start('default');
  }
}

/** Another stream, whose frames the rig records. */
function guestOf(rig: Rig): ScheduledStream & { readonly ready: InFlightFrame[] } {
  const ready: InFlightFrame[] = [];
  return {
    id: rig.id,
    instance: rig.instance,
    policy: rig.policy,
    intake: null,
    ready,
    take: () => ready.shift() ?? null,
    wakeOnFrame: () => undefined,
    flush: () => undefined,
  };
}

describe('Scheduler', () => {
  let rig: Rig;
  afterEach(() => rig.models.shutdown());

  const frames = (count: number): InFlightFrame[] => Array.from({ length: count }, (_, i) => rig.frame(i));

  it('hands over several frames of a file at once if the device takes one per call', async () => {
    rig = new Rig();
    await rig.startWith(frames(10));
    await waitFor('all frames', () => rig.inferred.length === 10);
    expect(rig.inferred, 'in order').toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(rig.busy, '4, 4 and 2 frames').toHaveLength(3);
    expect(rig.model.report().histogram, 'calls of one frame').toEqual({ 1: 10 });
    expect(Math.min(...rig.busy), 'the time of all calls').toBeGreaterThanOrEqual(2 * 2 - 1);
  });

  it.each([
    ['of files', false, 1, [8, 4]],
    ['of files by a slow model', false, 20, [2, 2, 2, 2, 2, 2]],
    ['of live streams', true, 1, [8, 4]],
    ['of live streams by a slow model one', true, 20, Array.from({ length: 12 }, () => 1)],
  ])('hands over crops %s at a time, as far as they take little of it', async (_, isLive, callMs, wanted) => {
    rig = new Rig();
    const batching = { ...SETTINGS, readsCrops: true };
    const { model, scheduler } = rig.models.add('stage', { engine: fakeEngineRequest(callMs), batching, threads: 1 });
    model.servesLive = isLive;
    model.pool.attach({ ringId: 1, buffer: rig.slots.buffer, shape: rig.slots.shape });
    await rig.models.start('stage');
    const [thread] = model.pool.clients;
    const submit = vi.spyOn(thread!, 'submit');
    model.batcher.setStream(rig.id, FILE);
    for (const crop of frames(12)) model.batcher.add(rig.id, crop, 0);
    scheduler.run();
    await waitFor('all crops', () => rig.inferred.length === 12);
    expect(submit.mock.calls.map(([batch]) => batch.frames.length)).toEqual(wanted);
  });

  it('requests messages for frames of a file while a thread is idle, and otherwise collects them when a batch ends', async () => {
    rig = new Rig();
    await rig.startWith([]);
    expect(rig.isListening, 'nothing to do').toBe(true);
    const records = frames(9);
    rig.hand(records.slice(0, 4));
    expect(rig.isListening, 'a second batch could wait on the thread').toBe(true);
    rig.hand(records.slice(4, 8));
    expect(rig.isListening, 'it does').toBe(false);
    rig.hand(records.slice(8));
    expect(rig.ready, 'not taken up yet').toHaveLength(1);
    await waitFor('all frames', () => rig.inferred.length === 9);
    expect(rig.inferred).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(rig.busy, '4, 4 and 1 frames').toHaveLength(3);
    expect(rig.isListening).toBe(true);
  });

  it('hands over one frame at a time beside a live stream', async () => {
    rig = new Rig();
    rig.model.servesLive = true;
    await rig.startWith(frames(6));
    await waitFor('all frames', () => rig.inferred.length === 6);
    expect(rig.busy).toHaveLength(6);
  });

  it('requests a message for each frame of a live stream, and keeps only the newest while the thread is busy', async () => {
    rig = new Rig(LIVE, 50);
    await rig.startWith([]);
    expect(rig.isListening).toBe(true);
    rig.hand(frames(5));
    expect(rig.isListening, 'busy or not').toBe(true);
    await waitFor('three frames', () => rig.inferred.length === 3);
    expect(rig.inferred, 'the free thread takes the first before anything is displaced').toEqual([0, 3, 4]);
    expect(rig.dropped).toEqual([
      [1, 'queue-full'],
      [2, 'queue-full'],
    ]);
  });

  it('does not touch a stream that it no longer serves', async () => {
    rig = new Rig(LIVE, 50);
    const [first, second] = frames(2);
    await rig.startWith([first!, second!]);
    expect(
      rig.models.withdraw(rig).map(({ meta }) => meta.frame),
      'one is on the thread',
    ).toEqual([1]);
    rig.hand([rig.frame(2)]);
    expect(rig.ready, 'not taken').toHaveLength(1);
    await waitFor('the frame on the thread', () => rig.inferred.length === 1);
  });

  it('an instance is starved while a thread is free and no frame waits, not while all threads work', async () => {
    rig = new Rig(LIVE, 200);
    await rig.startWith([]);
    const startedMs = systemClock.now();
    const starvedBefore = rig.model.starvedMs(startedMs);
    expect(rig.model.starvedMs((startedMs + 70) as MonoMs) - starvedBefore).toBe(70);
    rig.hand(frames(1));
    const whileBusy = rig.model.starvedMs(systemClock.now());
    expect(rig.model.starvedMs((startedMs + 60_000) as MonoMs), 'the thread works').toBe(whileBusy);
    await waitFor('the frame on the thread', () => rig.inferred.length === 1);
    expect(rig.model.starvedMs((systemClock.now() + 5) as MonoMs)).toBeGreaterThan(whileBusy);
  });

  it('a stream that leaves an instance is no longer shed, since another one may have room for all of its frames', async () => {
    rig = new Rig(LIVE, 50);
    const other = rig.add('other', 1);
    await other.start(1);
    const intake = { counts: { entered: 0, shed: 0, wasted: 0, inferred: 0 }, keepRatio: 0.3 };
    rig.intake = intake;
    rig.models.move(rig, 'other', () => {
      rig.instance = 'other';
    });
    expect(intake.keepRatio).toBe(1);
    intake.keepRatio = 0.5;
    rig.models.withdraw(rig);
    expect(intake.keepRatio).toBe(1);
  });

  it('drops take effect only after the loop has ended', async () => {
    rig = new Rig(LIVE, 50);
    const seen: number[] = [];
    rig.drop = ({ meta }) => {
      seen.push(meta.frame);
      // As a listener that removes the stream would do.
      rig.models.withdraw(rig);
    };
    await rig.startWith([]);
    rig.hand(frames(4));
    expect(seen).toEqual([1]);
    expect(rig.models.depth(rig)).toBe(0);
    await waitFor('the frame on the thread', () => rig.inferred.length === 1);
  });

  it('drops take effect only after the loop has ended, also if a stream is shadowed by its own model', async () => {
    rig = new Rig(LIVE, 50);
    const stream = { id: rig.id, instance: 'default', arrangement: { beside: null } as RuntimeStream['arrangement'] };
    rig.shadows.start(stream, 'default', rig.models, { ratio: 1, comparesSkipped: true });
    await rig.startWith([]);
    const leftToTake: number[] = [];
    rig.drop = ({ meta }, reason) => {
      rig.dropped.push([meta.frame, reason]);
      leftToTake.push(rig.ready.length);
    };
    rig.hand(frames(5));
    expect(rig.dropped).toEqual([
      [1, 'queue-full'],
      [2, 'queue-full'],
    ]);
    expect(leftToTake, 'all frames were taken before').toEqual([0, 0]);
    await waitFor('the others', () => rig.inferred.length === 3);
    expect(rig.inferred).toEqual([0, 3, 4]);
    rig.shadows.stop(rig.id);
  });

  it('publishes frames that need no inference once the loop has ended, and offers them to a candidate', async () => {
    rig = new Rig(LIVE, 50);
    await rig.startWith([]);
    const log: string[] = [];
    rig.flush = () => void log.push('flush');
    const offer = rig.shadows.offer.bind(rig.shadows);
    rig.shadows.offer = (frame) => {
      log.push(`offer ${frame.meta.frame}`);
      offer(frame);
    };
    const [first, second, third] = frames(3) as [InFlightFrame, InFlightFrame, InFlightFrame];
    second.status = 'done';
    second.by = 'unchanged';
    rig.hand([first, second, third]);
    expect(log).toEqual(['offer 0', 'offer 1', 'offer 2', 'flush']);
    await waitFor('the others', () => rig.inferred.length === 2);
    expect(rig.inferred, 'the second is not inferred').toEqual([0, 2]);
  });

  it('serves each model instance independently', async () => {
    rig = new Rig();
    expect(() => rig.add('default', 1)).toThrow(RangeError);
    const other = rig.add('other', 1);
    await rig.models.start('other');
    await rig.startWith(frames(3));
    await waitFor('all frames', () => rig.inferred.length === 3);
    expect(other.report().histogram).toEqual({});
    expect(rig.model.report().histogram).toEqual({ 1: 3 });
  });

  it('a stream that moves with more frames than its queue holds now drops the oldest, and counts them', async () => {
    rig = new Rig(LIVE, 50);
    const other = rig.add('other', 1);
    rig.policy = { ...LIVE, queueSize: 8 };
    rig.models.serve(rig);
    const records = frames(8);
    rig.ready.push(...records);
    rig.models.framesArrived(rig);
    expect(rig.models.depth(rig), 'no engine has started').toBe(8);
    rig.policy = LIVE;
    rig.models.serve(rig);
    rig.models.move(rig, 'other', () => {
      rig.instance = 'other';
    });
    expect(rig.dropped).toEqual([0, 1, 2, 3, 4, 5].map((frame) => [frame, 'queue-full']));
    other.pool.attach({ ringId: 1, buffer: rig.slots.buffer, shape: rig.slots.shape });
    await rig.models.start('other');
    await waitFor('the others', () => rig.inferred.length === 2);
    expect(rig.inferred).toEqual([6, 7]);
    await rig.model.start(1);
  });

  it('frames that waited in the cache move with their stream, in order', async () => {
    rig = new Rig(LIVE, 50, 10);
    const other = rig.add('other', 1, { ...SETTINGS, cacheResults: 10 });
    const records = Array.from({ length: 6 }, (_, i) => rig.frame(i, 1, 7));
    rig.ready.push(...records);
    rig.models.framesArrived(rig);
    expect(rig.models.depth(rig), 'the others wait for the first').toBe(1);
    rig.models.move(rig, 'other', () => {
      rig.instance = 'other';
    });
    other.pool.attach({ ringId: 1, buffer: rig.slots.buffer, shape: rig.slots.shape });
    await rig.models.start('other');
    await waitFor('all of them', () => rig.inferred.length === 6);
    expect([rig.inferred, rig.dropped]).toEqual([[0, 1, 2, 3, 4, 5], []]);
    await rig.model.start(1);
  });

  it('an instance that gets a stream while its last batch runs is not removed', async () => {
    rig = new Rig(LIVE, 50);
    const { models } = rig;
    const request = { engine: fakeEngineRequest(50), batching: SETTINGS, threads: 1 };
    await models.load('other', request);
    models.attach({ ringId: 1, buffer: rig.slots.buffer, shape: rig.slots.shape });
    const guest = { ...guestOf(rig), instance: 'other' };
    rig.models.serve(guest);
    guest.ready.push(rig.frame(0));
    rig.models.framesArrived(guest);
    rig.models.withdraw(guest);
    const unloading = models.unload('other');
    rig.models.serve(guest);
    await expect(unloading).rejects.toMatchObject({ code: 'MODEL_BUSY' });
    guest.ready.push(rig.frame(1));
    rig.models.framesArrived(guest);
    await waitFor('both frames', () => rig.inferred.length === 2);
    rig.models.withdraw(guest);
    await models.unload('other');
    expect(() => models.get('other')).toThrow('no model "other"');
  });

  it('retries the frames of a failed hand-over one by one, and drops only the one that fails again', async () => {
    rig = new Rig();
    const records = [0, 1, 2, 3, 4, 5].map((frame) => rig.frame(frame, frame === 2 ? UNKNOWN_RING : 1));
    await rig.startWith(records);
    await waitFor('all others', () => rig.inferred.length === 5);
    await waitFor('the one', () => rig.dropped.length === 1);
    expect(rig.dropped).toEqual([[2, 'engine-failed']]);
    expect([...rig.inferred].sort()).toEqual([0, 1, 3, 4, 5]);
    expect(records[2]!.failures).toBe(3);
    expect(records[0]!.failures, 'once in its company, never alone').toBe(1);
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    expect(sum(rig.failed), 'each failed inference is counted').toBe(sum(records.map(({ failures }) => failures)));
  });

  it('does not count a failure for frames that only waited on a thread that died', async () => {
    rig = new Rig();
    const records = frames(8);
    await rig.startWith(records);
    await rig.model.pool.clients[0]!.crash();
    await waitFor('all frames', () => rig.inferred.length === 8);
    expect(rig.inferred).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(records.map(({ failures }) => failures)).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
  });
});
