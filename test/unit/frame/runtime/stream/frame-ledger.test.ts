import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  DROP_REASONS,
  type DropReason,
  type FrameChange,
  type PublishedFrame,
} from '../../../../../src/base/core/frame.ts';
import type { MonoMs } from '../../../../../src/base/core/units.ts';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { FrameLedger } from '../../../../../src/frame/runtime/stream/frame-ledger.ts';
import type { InFlightFrame } from '../../../../../src/frame/runtime/stream/in-flight-frame.ts';
import { prepareSettings } from '../../../../../src/frame/runtime/stream/prepared-settings.ts';
import { StreamPlace } from '../../../../../src/frame/runtime/stream/stream-place.ts';
import type { FrameStages, Looks, StreamInput } from '../../../../../src/frame/runtime/stream/stream-port.ts';
import { PartTimes } from '../../../../../src/frame/telemetry/part-times.ts';
import { conservationGap, StreamTelemetry } from '../../../../../src/frame/telemetry/stream-telemetry.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import { testFfmpeg } from '../../../../support/made-videos.ts';
import { slotMeta } from '../../../../support/slot-meta.ts';

const SLOTS = 8;
/** The wall clock and the monotonic clock differ. */
const WALL_AHEAD_MS = 5000;
const REASONS = Object.keys(DROP_REASONS) as DropReason[];

/** A ledger over a real ring that counts every release and checks each publication as it happens. */
class Bench {
  nowMs = 100;
  readonly ring = SlotRing.create({ slots: SLOTS, inputBytes: 8, pictureBytes: 0 });
  readonly telemetry = new StreamTelemetry(0);
  readonly published: PublishedFrame[] = [];
  readonly sinksBusy: (() => void)[] = [];
  readonly ledger: FrameLedger;
  isSinkSlow = false;
  /** What a full sink of a file resolves once it has room; null if it has. */
  room: Promise<void> | null = null;
  isLeaseValid = true;
  /** The ledger asks that its frames be taken. */
  onArrived = (): void => undefined;
  releases = 0;
  #frame = 0;

  readonly warnings: string[] = [];

  constructor(
    fence: number | null = null,
    settings: object = {},
    policy: 'live' | 'file' = 'live',
    stages: FrameStages | null = null,
  ) {
    const lease = { fence: fence ?? 0, isValid: () => this.isLeaseValid };
    const input: StreamInput = {
      source: null,
      imagePaths: [],
      label: 's',
      policy,
      picture: null,
      ...(fence === null ? {} : { lease }),
    };
    const arrangement = {
      config: parseStream({ id: 's', source: 's', ...settings }, {}),
      instance: 'default',
      beside: null,
    };
    const prepared = prepareSettings(arrangement, input, 0, null, () => undefined);
    const port = {
      partTimes: new PartTimes(),
      scheduler: { serve: () => undefined, framesArrived: () => this.onArrived(), withdraw: () => [] },
      event: (_kind: string, _stream: string, text: string) => void this.warnings.push(text),
      ...(stages === null ? {} : { stagesOf: () => stages }),
      ffmpeg: testFfmpeg,
      room: () => this.room,
      publish: (frame: PublishedFrame) => {
        this.published.push(frame);
        this.checkConservation();
        return this.isSinkSlow ? new Promise<void>((resolve) => this.sinksBusy.push(resolve)) : null;
      },
    };
    this.ledger = new FrameLedger({
      stream: { id: 's', run: 'r' },
      spec: { classes: ['person'] },
      settings: prepared,
      place: new StreamPlace(),
      telemetry: this.telemetry,
      port,
      now: () => this.nowMs as MonoMs,
      wallNowMs: () => this.nowMs + WALL_AHEAD_MS,
    });
    this.ledger.ring = {
      ringId: 1,
      slots: this.ring,
      keepRatio: 1,
      onEntered: () => undefined,
      onReleased: () => {
        this.releases += 1;
      },
    };
  }

  get gap(): number {
    return conservationGap(this.telemetry.frames(this.ledger.inFlight));
  }

  checkConservation(): void {
    expect(this.gap).toBe(0);
  }

  /** Hands over a slot as a lane does; nothing if the ring is full. @param change - what the change gate found. */
  hand(change: FrameChange = 'changed'): void {
    const slot = this.ring.acquire();
    if (slot < 0) return;
    const frame = this.#frame++;
    const times = { captured: this.nowMs, decoded: this.nowMs, preprocessed: this.nowMs };
    this.ring.writeMeta(slot, slotMeta({ frame, ptsUs: frame * 40_000, width: 64, height: 48, change, ...times }));
    this.ring.hand(slot);
  }

  /** Hands over a frame, and takes it. */
  enter(change: FrameChange = 'changed'): InFlightFrame | null {
    this.hand(change);
    return this.ledger.take();
  }

  complete(record: InFlightFrame): void {
    this.ledger.complete(record, Float32Array.of(1, 2, 3, 4, 0.5, 0), this.nowMs as MonoMs);
  }
}

const step = fc.record({
  what: fc.constantFrom('enter', 'enter', 'complete', 'complete', 'drop', 'lost', 'again'),
  pick: fc.nat(1000),
});

describe('FrameLedger', () => {
  it('knows how long its frames have been in flight, and how long dropped ones were', () => {
    const bench = new Bench();
    const first = bench.enter()!;
    bench.nowMs += 10;
    const second = bench.enter()!;
    const third = bench.enter()!;
    bench.nowMs += 5;
    expect(bench.ledger.pendingMs(bench.nowMs)).toBe(15 + 5 + 5);
    bench.ledger.drop(second, 'stale');
    expect(bench.ledger.droppedMs).toBe(5);
    // A frame that waits for an earlier one is still in flight; a dropped one is not.
    bench.complete(third);
    bench.nowMs += 1;
    expect(bench.ledger.pendingMs(bench.nowMs)).toBe(16 + 6);
    bench.complete(first);
    expect(bench.ledger.pendingMs(bench.nowMs)).toBe(0);
    bench.ledger.drop(first, 'stale');
    expect(bench.ledger.droppedMs).toBe(5);
  });

  it('loses and repeats nothing, in whatever order frames arrive, finish and are dropped', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const bench = new Bench();
        const waiting: InFlightFrame[] = [];
        const over: InFlightFrame[] = [];
        const dropped = new Set<number>();
        let lost = 0;
        const take = (pick: number): InFlightFrame | undefined => {
          const [record] = waiting.length === 0 ? [] : waiting.splice(pick % waiting.length, 1);
          if (record !== undefined) over.push(record);
          return record;
        };
        for (const { what, pick } of steps) {
          bench.nowMs += 1;
          if (what === 'enter') {
            const record = bench.enter();
            if (record !== null) waiting.push(record);
          } else if (what === 'lost') {
            bench.ledger.enterLost(pick % 3, 'queue-full');
            lost += pick % 3;
          } else if (what === 'again') {
            // A late result of an abandoned thread must have no effect.
            const record = over[pick % Math.max(1, over.length)];
            if (record !== undefined) pick % 2 === 0 ? bench.complete(record) : bench.ledger.drop(record, 'stopped');
          } else {
            const record = take(pick);
            if (record === undefined) continue;
            if (what === 'complete') bench.complete(record);
            else {
              dropped.add(record.meta.frame);
              bench.ledger.drop(record, REASONS[pick % REASONS.length]!);
            }
          }
          bench.checkConservation();
        }
        for (const record of waiting) bench.complete(record);
        const entered = waiting.length + over.length;
        const expected = Array.from({ length: entered }, (_, frame) => frame).filter((frame) => !dropped.has(frame));
        expect(bench.published.map(({ frame }) => frame)).toEqual(expected);
        expect(bench.ledger.inFlight).toBe(0);
        expect(bench.telemetry.frames(0).in).toBe(entered + lost);
        expect(bench.releases).toBe(entered);
        expect(bench.ring.heldCount).toBe(0);
        bench.checkConservation();
      }),
    );
  });

  it('a frame of a file waits for its second stages however long they take, and that is said once', async () => {
    vi.useFakeTimers();
    try {
      const answers: (() => void)[] = [];
      const look = (): Looks => ({ isOver: false, settled: new Promise((resolve) => answers.push(resolve)) });
      const stages = { look, dress: (boxes: unknown) => boxes, retune: () => undefined } as unknown as FrameStages;
      const bench = new Bench(null, { stages: ['a'] }, 'file', stages);
      for (let i = 0; i < 3; i++) bench.complete(bench.enter()!);
      await vi.advanceTimersByTimeAsync(600_000);
      expect(bench.published).toEqual([]);
      expect(bench.warnings).toEqual([expect.stringMatching(/^s: frame 0 has waited for its second stages for 60 s/)]);
      // Answers of later frames do not let these overtake.
      for (const answer of answers.reverse()) answer();
      await vi.advanceTimersByTimeAsync(0);
      expect(bench.published.map(({ frame }) => frame)).toEqual([0, 1, 2]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('publishes the result with its boxes, size and times', () => {
    const bench = new Bench();
    const record = bench.enter()!;
    record.batchedMs = 110 as MonoMs;
    bench.nowMs = 120;
    bench.ledger.complete(record, Float32Array.of(1, 2, 3, 4, 0.5, 0), 115 as MonoMs);
    expect(bench.published).toEqual([
      {
        streamId: 's',
        run: 'r',
        frame: 0,
        ptsUs: 0,
        capturedAtMs: 100 + WALL_AHEAD_MS,
        captureClock: 'arrival',
        width: 64,
        height: 48,
        by: 'inferred',
        detections: [{ classId: 0, label: 'person', score: 0.5, box: [1, 2, 3, 4] }],
        times: { captured: 100, decoded: 100, preprocessed: 100, batched: 110, inferred: 115, published: 120 },
      },
    ]);
  });

  it('publishes no time of capture for a file, whose frames are older than their decoding', () => {
    const bench = new Bench(null, {}, 'file');
    bench.complete(bench.enter()!);
    expect(Object.keys(bench.published[0]!)).not.toContain('capturedAtMs');
  });

  it('publishes crossings and counts of zones with the frame that they are of, and neither without lines and zones', () => {
    const line = { id: 'half', from: [0.5, 0], to: [0.5, 1], anchor: 'center' };
    const zone = (id: string, from: number, to: number) => {
      const [upper, lower] = [0, 1].map((y) => [from, to].map((x) => [x, y])) as [number[][], number[][]];
      return { id, anchor: 'center', polygon: [...upper, ...lower.toReversed()] };
    };
    const [right, left] = [zone('right', 0.5, 1), zone('left', 0, 0.5)];
    const bench = new Bench(null, { lines: [line], zones: [right, left] });
    const FRAMES = 30;
    for (let i = 0; i < FRAMES; i += 1)
      bench.ledger.complete(bench.enter()!, Float32Array.of(4 + i * 1.5, 10, 10, 20, 0.9, 0), bench.nowMs as MonoMs);
    const crossings = bench.published.flatMap(({ frame, crossings = [] }) =>
      crossings.map((each) => ({ frame, ...each })),
    );
    const { frame } = crossings[0]!;
    expect(crossings).toEqual([
      {
        frame,
        lineId: 'half',
        trackId: 1,
        label: 'person',
        direction: expect.any(String) as string,
        ptsUs: frame * 40_000,
      },
    ]);
    // The centre is at 9 + 1.5 * frame of 64 pixels: at 32 after frame 15.
    expect(frame).toBeGreaterThan(15);
    expect(bench.published.at(-1)!.crossings).toEqual([]);
    const zones = [bench.published[10]!.zones, bench.published.at(-1)!.zones];
    expect(zones).toEqual([
      [
        { id: 'right', inside: 0 },
        { id: 'left', inside: 1 },
      ],
      [
        { id: 'right', inside: 1 },
        { id: 'left', inside: 0 },
      ],
    ]);
    const plain = new Bench();
    plain.complete(plain.enter()!);
    expect(Object.keys(plain.published[0]!).filter((key) => key === 'crossings' || key === 'zones')).toEqual([]);
  });

  it('holds a result back until the frames before it are published or dropped', () => {
    const bench = new Bench();
    const [first, second, third] = [bench.enter()!, bench.enter()!, bench.enter()!];
    bench.complete(third);
    bench.complete(second);
    expect(bench.published).toEqual([]);
    bench.ledger.drop(first, 'engine-failed');
    expect(bench.published.map(({ frame }) => frame)).toEqual([1, 2]);
  });

  it('keeps the slot of a published frame until a slow sink is done with it', async () => {
    const bench = new Bench();
    bench.isSinkSlow = true;
    bench.complete(bench.enter()!);
    await bench.ledger.empty();
    expect([bench.published.length, bench.ring.heldCount]).toEqual([1, 1]);
    bench.sinksBusy[0]!();
    await new Promise((resolve) => setImmediate(resolve));
    expect(bench.ring.heldCount).toBe(0);
  });

  it('is empty at once if no frame is in flight, and otherwise when the last one is done', async () => {
    const bench = new Bench();
    await bench.ledger.empty();
    const [first, second] = [bench.enter()!, bench.enter()!];
    let isEmpty = false;
    const empty = bench.ledger.empty().then(() => {
      isEmpty = true;
    });
    bench.ledger.drop(second, 'stale');
    await Promise.resolve();
    expect(isEmpty).toBe(false);
    bench.complete(first);
    await empty;
  });

  it('publishes under its lease, and drops results that are ready after the lease is lost', () => {
    const bench = new Bench(7);
    const [first, second] = [bench.enter()!, bench.enter()!];
    bench.complete(first);
    bench.isLeaseValid = false;
    bench.complete(second);
    expect(bench.published.map(({ frame, fence }) => ({ frame, fence }))).toEqual([{ frame: 0, fence: 7 }]);
    expect(bench.telemetry.frames(0).dropped).toEqual({ 'lease-lost': 1 });
    expect(bench.releases).toBe(2);
    bench.checkConservation();
  });

  it('publishes frames without inference with `flush`, behind the earlier ones, and counts them in each publication', () => {
    const bench = new Bench(null, { skip: { unchanged: true } });
    const [first, second, third] = [bench.enter()!, bench.enter('unchanged')!, bench.enter('unchanged')!];
    expect([first.status, second.status, third.status]).toEqual(['waiting', 'done', 'done']);
    bench.ledger.flush();
    expect(bench.published, 'the first is not inferred yet').toEqual([]);
    bench.complete(first);
    expect(bench.published.map(({ frame, by }) => [frame, by])).toEqual([
      [0, 'inferred'],
      [1, 'unchanged'],
      [2, 'unchanged'],
    ]);
    bench.enter('unchanged');
    expect(bench.published).toHaveLength(3);
    bench.ledger.flush();
    expect(bench.published.map(({ detections }) => detections)).toEqual(
      Array.from({ length: 4 }, () => bench.published[0]!.detections),
    );
    expect([bench.ring.heldCount, bench.gap]).toEqual([0, 0]);
  });

  it('keeps what is inferred while the sinks of a file have no room, and hands it over when it closes', async () => {
    const bench = new Bench(null, {}, 'file');
    let makeRoom = (): void => undefined;
    bench.room = new Promise((resolve) => {
      makeRoom = resolve;
    });
    const frames = [bench.enter()!, bench.enter()!, bench.enter()!];
    for (const frame of frames) bench.complete(frame);
    expect([bench.published.length, bench.ring.heldCount, bench.gap]).toEqual([0, 3, 0]);
    makeRoom();
    await bench.room;
    const taken = bench.published.length;
    expect(taken, 'others that wait have a turn after one').toBeLessThan(2);
    bench.ledger.isClosing = true;
    expect(bench.published.map(({ frame }) => frame)).toEqual([0, 1, 2]);
    bench.checkConservation();
  });

  it('keeps a frame of a file back while what becomes of it depends on a result, and takes it when the result is there', () => {
    const bench = new Bench(null, { skip: { unchanged: true } }, 'file');
    bench.onArrived = () => {
      while (bench.ledger.take() !== null);
      bench.ledger.flush();
    };
    const first = bench.enter()!;
    bench.hand('unchanged');
    expect(bench.ledger.take()).toBeNull();
    expect(bench.ledger.take(), 'asked twice').toBeNull();
    expect(bench.ledger.inFlight).toBe(2);
    bench.hand('unchanged');
    bench.complete(first);
    expect(bench.published.map(({ frame, by }) => [frame, by])).toEqual([
      [0, 'inferred'],
      [1, 'unchanged'],
      [2, 'unchanged'],
    ]);
    const second = bench.enter()!;
    bench.hand('unchanged');
    bench.ledger.take();
    bench.ledger.drop(second, 'engine-failed');
    expect(bench.ledger.inFlight, 'without a result to wait for it is inferred itself').toBe(1);
  });

  it('drops a frame that is kept back with its stream', () => {
    const bench = new Bench(null, { skip: { unchanged: true } }, 'file');
    const first = bench.enter()!;
    bench.hand('unchanged');
    bench.ledger.take();
    bench.ledger.drop(first, 'stopped');
    bench.ledger.dropHandedOver();
    expect(bench.ledger.inFlight).toBe(0);
    expect(bench.gap).toBe(0);
  });

  it('counts and drops what is handed over to a stream that nobody serves any more', () => {
    const bench = new Bench(null, { skip: { unchanged: true } });
    bench.hand();
    bench.hand('unchanged');
    bench.ledger.dropHandedOver();
    expect(bench.telemetry.frames(0)).toMatchObject({ in: 2, published: 0, dropped: { stopped: 2 } });
    expect([bench.ring.heldCount, bench.releases, bench.gap]).toEqual([0, 2, 0]);
  });
});
