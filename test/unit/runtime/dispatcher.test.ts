import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/core/clock.ts';
import { SlotRing } from '../../../src/flow/slot-ring.ts';
import { Dispatcher } from '../../../src/runtime/dispatcher.ts';
import type { FrameRecord } from '../../../src/runtime/frame-ledger.ts';
import { fakeEngineRequest, SIDE } from '../../support/fake-engine.ts';
import { waitFor } from '../../support/wait-for.ts';

const SLOTS = 12;
/** A ring that no inference thread was told of: a call with a frame of it fails. */
const UNKNOWN_RING = 99;

/** A dispatcher with one real thread of the fake engine, and a stream of which nothing may be lost. */
class Rig {
  readonly inferred: number[] = [];
  readonly dropped: [number, string][] = [];
  readonly busy: number[] = [];
  /** Frames of a file that its lane has handed over, and that nobody has collected yet. */
  readonly ready: FrameRecord[] = [];
  isListening = false;
  readonly ring = SlotRing.create({ slots: SLOTS, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
  readonly dispatcher: Dispatcher;

  constructor() {
    this.dispatcher = new Dispatcher(
      fakeEngineRequest(2),
      { maxBatch: 1, maxDelayMs: 5, timeoutMs: 10_000 },
      {
        collect: () => this.collect(),
        listen: () => {
          this.isListening = true;
          return this.collect();
        },
        onDropped: (record, reason) => void this.dropped.push([record.meta.frame, reason]),
        onInferred: (record) => void this.inferred.push(record.meta.frame),
        mayRetry: () => true,
        onBusy: (ms) => void this.busy.push(ms),
        onBatchFailed: () => {},
        onThreadLost: () => {},
        onThreadRestarted: () => {},
        onSettled: () => {},
      },
      systemClock,
    );
    this.dispatcher.batcher.setStream('s', { priority: 0, weight: 1, queueSize: null, maxAgeMs: null });
    this.dispatcher.pool.attach({ ringId: 1, buffer: this.ring.buffer, shape: this.ring.shape });
  }

  record(frame: number, ringId = 1): FrameRecord {
    const slot = this.ring.acquire();
    const meta = {
      ...{ frame, ptsUs: 0, width: SIDE, height: SIDE, captured: 0, decoded: 0, preprocessed: 0 },
      placement: { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 },
    };
    this.ring.writeMeta(slot, meta);
    return {
      ...{ streamId: 's', session: { ringId, ring: this.ring, onReleased: () => {} }, slot, meta, capturedMs: 0 },
      ...{ failures: 0, status: 'waiting', batchedMs: 0, inferredMs: 0, rows: null },
    };
  }

  collect(): boolean {
    const isAny = this.ready.length > 0;
    while (this.ready.length > 0) this.dispatcher.offer(this.ready.shift()!);
    return isAny;
  }

  /** A lane hands frames over, and tells of it where somebody listens. */
  hand(records: readonly FrameRecord[]): void {
    this.ready.push(...records);
    if (!this.isListening) return;
    this.isListening = false;
    this.collect();
  }

  /** Frames that wait before the engine is up, so that all of them are there when it asks. */
  async startWith(records: readonly FrameRecord[]): Promise<void> {
    for (const record of records) this.dispatcher.offer(record);
    await this.dispatcher.start(1);
    this.dispatcher.pump();
  }
}

describe('Dispatcher', () => {
  let rig: Rig;
  afterEach(() => rig.dispatcher.shutdown());

  const frames = (count: number): FrameRecord[] => Array.from({ length: count }, (_, i) => rig.record(i));

  it('hands several frames of a file over at once where the device takes one a call', async () => {
    rig = new Rig();
    rig.dispatcher.servesLive = false;
    await rig.startWith(frames(10));
    await waitFor('all frames', () => rig.inferred.length === 10);
    expect(rig.inferred, 'in order').toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(rig.busy, '4, 4 and 2 frames').toHaveLength(3);
    expect(rig.dispatcher.report().histogram, 'calls of one frame').toEqual({ 1: 10 });
    expect(Math.min(...rig.busy), 'the time of all calls').toBeGreaterThanOrEqual(2 * 2 - 1);
  });

  it('listens for frames of a file while a thread could do more, and else collects them when a batch ends', async () => {
    rig = new Rig();
    rig.dispatcher.servesLive = false;
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

  it('hands over one by one beside a live stream', async () => {
    rig = new Rig();
    await rig.startWith(frames(6));
    await waitFor('all frames', () => rig.inferred.length === 6);
    expect(rig.busy).toHaveLength(6);
  });

  it('tries the frames of a failed hand-over again one by one: only the one that cannot be done is given up', async () => {
    rig = new Rig();
    rig.dispatcher.servesLive = false;
    const records = [0, 1, 2, 3, 4, 5].map((frame) => rig.record(frame, frame === 2 ? UNKNOWN_RING : 1));
    await rig.startWith(records);
    await waitFor('all others', () => rig.inferred.length === 5);
    await waitFor('the one', () => rig.dropped.length === 1);
    expect(rig.dropped).toEqual([[2, 'engine-failed']]);
    expect([...rig.inferred].sort()).toEqual([0, 1, 3, 4, 5]);
    expect(records[2]!.failures).toBe(3);
    expect(records[0]!.failures, 'once in its company, never alone').toBe(1);
  });

  it('does not blame what only waited on a thread that died', async () => {
    rig = new Rig();
    rig.dispatcher.servesLive = false;
    const records = frames(8);
    await rig.startWith(records);
    await rig.dispatcher.pool.clients[0]!.crash();
    await waitFor('all frames', () => rig.inferred.length === 8);
    expect(rig.inferred).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(records.map(({ failures }) => failures)).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
  });
});
