import { describe, expect, it } from 'vitest';
import type { ModelSpec } from '../../../../../src/base/core/model.ts';
import type { MonoMs } from '../../../../../src/base/core/units.ts';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import type { LaneClient, LaneListener } from '../../../../../src/frame/runtime/lane/lane-client.ts';
import type { InFlightFrame } from '../../../../../src/frame/runtime/stream/in-flight-frame.ts';
import { RuntimeStream } from '../../../../../src/frame/runtime/stream/runtime-stream.ts';
import type { ScheduledStream, StreamPort } from '../../../../../src/frame/runtime/stream/stream-port.ts';
import { PartTimes } from '../../../../../src/frame/telemetry/part-times.ts';
import { conservationGap } from '../../../../../src/frame/telemetry/stream-telemetry.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import type { FromLane, LaneStream } from '../../../../../src/wire/protocol/threads.ts';
import { programAs } from '../../../../support/confinement.ts';
import { slotMeta } from '../../../../support/slot-meta.ts';

const SPEC: ModelSpec = {
  name: 'test',
  family: 'yolox',
  input: { width: 4, height: 4, resize: { mode: 'stretch' } },
  classes: ['person'],
  nmsIou: null,
  scoreThreshold: 0.5,
  maxDetections: 10,
  classesPerBox: 'best',
};

/** A stream between a lane and a runtime that the test simulates. */
class Bench {
  readonly published: number[] = [];
  readonly opened: LaneStream[] = [];
  readonly stream: RuntimeStream;
  closes = 0;
  #queue: InFlightFrame[] = [];
  #frame = 0;
  #isServed = false;
  #listener: LaneListener | null = null;

  constructor(policy: 'live' | 'file') {
    const lane = {
      open: (stream: LaneStream, listener: LaneListener) => {
        this.opened.push(stream);
        this.#listener = listener;
      },
      close: () => {
        this.closes += 1;
      },
      watch: () => undefined,
      slotFree: () => undefined,
    } as unknown as LaneClient;
    const port: StreamPort = {
      primary: () => 'default',
      ffmpeg: programAs('ffmpeg'),
      preview: { maxWidth: 64, fps: 1, quality: 72 },
      modelOf: () => ({
        spec: SPEC,
        scoreThreshold: 0.5,
        hashesInput: false,
        inferenceCalls: 2,
        inferenceInputs: 2,
        handOverInputs: 2,
      }),
      partTimes: new PartTimes(),
      pickLane: () => lane,
      attach: () => undefined,
      detach: () => undefined,
      scheduler: {
        serve: () => {
          this.#isServed = true;
        },
        framesArrived: (stream) => this.#drain(stream),
        withdraw: () => {
          this.#isServed = false;
          return this.#queue.splice(0);
        },
      },
      event: () => undefined,
      onTarget: () => undefined,
      room: () => null,
      publish: (frame) => {
        this.published.push(frame.frame);
        return null;
      },
      onPreview: () => undefined,
      onSign: () => undefined,
    };
    const input = { source: null, imagePaths: ['a.jpg'], label: 'a', policy, picture: null };
    this.stream = new RuntimeStream(parseStream({ id: 's', source: 'a' }, {}), input, port);
    this.stream.start();
  }

  /** Simulates the scheduler for a served stream. */
  #drain(stream: ScheduledStream): void {
    if (!this.#isServed) return;
    for (let frame = stream.take(); frame !== null; frame = stream.take()) this.#queue.push(frame);
  }

  send(message: Omit<Extract<FromLane, { type: 'running' | 'closed' }>, 'ringId'>): void {
    this.#listener!.onLaneMessage({ ...message, ringId: this.opened.at(-1)!.ring.ringId });
  }

  /** Simulates a lane that hands over a frame. */
  frame(): void {
    const { buffer, shape } = this.opened.at(-1)!.ring;
    const ring = SlotRing.attach(buffer, shape);
    const slot = ring.acquire();
    ring.writeMeta(slot, slotMeta({ frame: this.#frame++, width: 4, height: 4 }));
    ring.countCompleted();
    if (ring.hand(slot)) this.#listener!.onFrames();
  }

  /** Simulates an inference thread that takes the oldest waiting frame. */
  take(): InFlightFrame {
    return this.#queue.shift()!;
  }

  infer(record: InFlightFrame): void {
    this.stream.ledger.complete(record, new Float32Array(0), 0 as MonoMs);
  }

  get counters() {
    return this.stream.telemetry.frames(this.stream.ledger.inFlight);
  }
}

/** Runs all pending asynchronous work. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('RuntimeStream', () => {
  it('a paused file finishes the frames already read, and continues after them later', async () => {
    const bench = new Bench('file');
    bench.send({ type: 'running' });
    bench.frame();
    bench.frame();
    const paused = bench.stream.pause();
    bench.send({ type: 'closed' });
    bench.infer(bench.take());
    bench.infer(bench.take());
    await paused;
    expect([bench.stream.state, bench.published]).toEqual(['paused', [0, 1]]);
    bench.stream.resume();
    expect(bench.opened.at(-1)).toMatchObject({ after: { frames: 2 }, firstFrame: 2 });
  });

  it('a removed live stream drops waiting frames as stopped, and counts every frame', async () => {
    const bench = new Bench('live');
    bench.send({ type: 'running' });
    for (let i = 0; i < 3; i++) bench.frame();
    const onDevice = bench.take();
    const removed = bench.stream.remove();
    bench.send({ type: 'closed' });
    bench.infer(onDevice);
    await removed;
    expect(bench.counters).toEqual({ in: 3, published: 1, inFlight: 0, dropped: { stopped: 2 } });
    expect(bench.stream.state).toBe('removed');
  });

  it('a stream can be removed while it is pausing, and both calls resolve', async () => {
    const bench = new Bench('file');
    bench.send({ type: 'running' });
    bench.frame();
    bench.frame();
    const onDevice = bench.take();
    const paused = bench.stream.pause();
    // The lane answers once, for the pause; the frame on the device delays both.
    bench.send({ type: 'closed' });
    await settle();
    const removed = bench.stream.remove();
    await settle();
    bench.infer(onDevice);
    await Promise.all([paused, removed]);
    expect(bench.stream.state).toBe('removed');
    expect(bench.closes).toBe(1);
    expect(bench.counters).toEqual({ in: 2, published: 1, inFlight: 0, dropped: { stopped: 1 } });
    expect(conservationGap(bench.counters)).toBe(0);
  });

  it('can be removed twice concurrently', async () => {
    const bench = new Bench('live');
    const both = [bench.stream.remove(), bench.stream.remove()];
    bench.send({ type: 'closed' });
    await Promise.all(both);
    expect(bench.stream.state).toBe('removed');
  });

  it('refuses an illegal state transition, and names it', async () => {
    const bench = new Bench('live');
    expect(() => bench.stream.resume()).toThrowError(
      expect.objectContaining({ code: 'STREAM_STATE', message: 'stream "s" is starting and cannot become starting' }),
    );
  });
});
