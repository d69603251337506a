import { describe, expect, it } from 'vitest';
import { parseStream } from '../../../src/config/load-pipeline.ts';
import type { ModelSpec } from '../../../src/core/model.ts';
import { SlotRing } from '../../../src/flow/slot-ring.ts';
import type { FromLane, LaneStream } from '../../../src/protocol/threads.ts';
import type { FrameRecord } from '../../../src/runtime/frame-ledger.ts';
import type { LaneClient } from '../../../src/runtime/lane-client.ts';
import type { SessionPort } from '../../../src/runtime/session-port.ts';
import { StreamSession } from '../../../src/runtime/stream-session.ts';
import { conservationGap } from '../../../src/telemetry/stream-telemetry.ts';

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

/** A session between a lane and a runtime that the test plays by hand. */
class Bench {
  readonly offered: FrameRecord[] = [];
  readonly published: number[] = [];
  readonly opened: LaneStream[] = [];
  readonly session: StreamSession;
  closes = 0;
  #queue: FrameRecord[] = [];
  #frame = 0;

  constructor(policy: 'live' | 'file') {
    const lane = {
      open: (stream: LaneStream) => this.opened.push(stream),
      close: () => {
        this.closes += 1;
      },
      watch: () => undefined,
      slotFree: () => undefined,
    } as unknown as LaneClient;
    const port: SessionPort = {
      spec: SPEC,
      scoreThreshold: 0.5,
      ffmpeg: { path: 'ffmpeg', major: 7 },
      preview: { maxWidth: 64, fps: 1 },
      inferenceSlots: 2,
      handOverSlots: 2,
      pickLane: () => lane,
      attach: () => undefined,
      detach: () => undefined,
      offer: (record) => {
        this.offered.push(record);
        this.#queue.push(record);
      },
      withdraw: () => this.#queue.splice(0),
      joinBatcher: () => undefined,
      event: () => undefined,
      publish: (_, frame) => {
        this.published.push(frame.frame);
        return null;
      },
      onPreview: () => undefined,
    };
    const input = { source: null, imagePaths: ['a.jpg'], label: 'a', policy, picture: null };
    this.session = new StreamSession(parseStream({ id: 's', source: 'a' }, {}), input, port);
    this.session.start();
  }

  tell(message: Omit<Extract<FromLane, { type: 'running' | 'closed' }>, 'ringId'>): void {
    this.session.onLaneMessage({ ...message, ringId: this.opened.at(-1)!.ring.ringId });
  }

  /** The lane hands over a frame. */
  frame(): void {
    const { ringId, buffer, shape } = this.opened.at(-1)!.ring;
    const ring = SlotRing.attach(buffer, shape);
    const slot = ring.acquire();
    const placement = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };
    const frame = this.#frame++;
    ring.writeMeta(slot, { frame, ptsUs: 0, width: 4, height: 4, captured: 0, decoded: 0, preprocessed: 0, placement });
    ring.countCompleted();
    if (ring.hand(slot)) this.session.onLaneMessage({ type: 'frames', ringId });
  }

  /** An inference thread takes the oldest frame that waits. */
  take(): FrameRecord {
    return this.#queue.shift()!;
  }

  infer(record: FrameRecord): void {
    this.session.ledger.complete(record, new Float32Array(0), 0);
  }

  get counters() {
    return this.session.telemetry.frames(this.session.ledger.inFlight);
  }
}

/** Lets everything happen that needs no further push. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('StreamSession', () => {
  it('a file that is paused finishes what was read, and later goes on behind it', async () => {
    const bench = new Bench('file');
    bench.tell({ type: 'running' });
    bench.frame();
    bench.frame();
    const paused = bench.session.pause();
    bench.tell({ type: 'closed' });
    bench.infer(bench.take());
    bench.infer(bench.take());
    await paused;
    expect([bench.session.state, bench.published]).toEqual(['paused', [0, 1]]);
    bench.session.resume();
    expect(bench.opened.at(-1)).toMatchObject({ skip: 2, firstFrame: 2 });
  });

  it('a live stream that is removed drops what waits as stopped, and loses count of nothing', async () => {
    const bench = new Bench('live');
    bench.tell({ type: 'running' });
    for (let i = 0; i < 3; i++) bench.frame();
    const onDevice = bench.take();
    const removed = bench.session.remove();
    bench.tell({ type: 'closed' });
    bench.infer(onDevice);
    await removed;
    expect(bench.counters).toEqual({ in: 3, published: 1, inFlight: 0, dropped: { stopped: 2 } });
    expect(bench.session.state).toBe('removed');
  });

  it('a stream that is removed while it is being paused is removed, and nobody waits for ever', async () => {
    const bench = new Bench('file');
    bench.tell({ type: 'running' });
    bench.frame();
    bench.frame();
    const onDevice = bench.take();
    const paused = bench.session.pause();
    // The lane answers once, for the pause; the frame on the device holds everything up.
    bench.tell({ type: 'closed' });
    await settle();
    const removed = bench.session.remove();
    await settle();
    bench.infer(onDevice);
    await Promise.all([paused, removed]);
    expect(bench.session.state).toBe('removed');
    expect(bench.closes).toBe(1);
    expect(bench.counters).toEqual({ in: 2, published: 1, inFlight: 0, dropped: { stopped: 1 } });
    expect(conservationGap(bench.counters)).toBe(0);
  });

  it('can be removed twice at once', async () => {
    const bench = new Bench('live');
    const both = [bench.session.remove(), bench.session.remove()];
    bench.tell({ type: 'closed' });
    await Promise.all(both);
    expect(bench.session.state).toBe('removed');
  });

  it('refuses a step that its state does not allow, by name', async () => {
    const bench = new Bench('live');
    expect(() => bench.session.resume()).toThrowError(
      expect.objectContaining({ code: 'STREAM_STATE', message: 'stream "s" is starting and cannot become starting' }),
    );
  });
});
