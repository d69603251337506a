import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ModelSpec } from '../../../../../src/base/core/model.ts';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import type { LaneClient, LaneListener } from '../../../../../src/frame/runtime/lane/lane-client.ts';
import type { InFlightFrame } from '../../../../../src/frame/runtime/stream/in-flight-frame.ts';
import { RuntimeStream } from '../../../../../src/frame/runtime/stream/runtime-stream.ts';
import type { ScheduledStream, StreamPort } from '../../../../../src/frame/runtime/stream/stream-port.ts';
import { PartTimes } from '../../../../../src/frame/telemetry/part-times.ts';
import { conservationGap } from '../../../../../src/frame/telemetry/stream-telemetry.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import type { LaneStream } from '../../../../../src/wire/protocol/threads.ts';
import { programAs } from '../../../../support/confinement.ts';
import { slotMeta } from '../../../../support/slot-meta.ts';

const SPEC: ModelSpec = {
  name: 'tiny',
  family: 'centernet',
  input: { width: 4, height: 2, resize: { mode: 'stretch' } },
  classes: ['person'],
  nmsIou: null,
  scoreThreshold: 0.5,
  maxDetections: 10,
  classesPerBox: 'best',
};
const STALLED = new SightlineError('SOURCE_STALLED', 'no frame for 3000 ms').toWire();

/** A passive lane: the test sends its messages. */
class SilentLane {
  readonly opened: LaneStream[] = [];
  readonly streamCount = 0;
  listener!: LaneListener;

  open(stream: LaneStream, listener: LaneListener): void {
    this.opened.push(stream);
    this.listener = listener;
  }

  close(): void {}
  slotFree(): void {}
  watch(): void {}

  get ringId(): number {
    return this.opened.at(-1)!.ring.ringId;
  }

  /** Reads a frame, as the real lane does, and hands it over unless it is to be lost. */
  read(frame: number, isHanded = true): void {
    const { buffer, shape } = this.opened.at(-1)!.ring;
    const ring = SlotRing.attach(buffer, shape);
    const slot = ring.acquire();
    ring.countCompleted();
    ring.writeMeta(slot, slotMeta({ frame, ptsUs: frame * 40_000, width: 4, height: 2 }));
    if (isHanded && ring.hand(slot)) this.listener.onFrames();
  }
}

describe('a stream under faults', () => {
  let lane: SilentLane;
  let events: { message: string; code: unknown }[];
  let waiting: InFlightFrame[];
  let isServed: boolean;

  beforeEach(() => {
    lane = new SilentLane();
    events = [];
    waiting = [];
    isServed = false;
  });

  afterEach(() => void vi.useRealTimers());

  /** Simulates the scheduler for a served stream. */
  function drain(stream: ScheduledStream): void {
    if (!isServed) return;
    for (let frame = stream.take(); frame !== null; frame = stream.take()) waiting.push(frame);
  }

  function open(policy: 'live' | 'file'): RuntimeStream {
    const port: StreamPort = {
      primary: () => 'default',
      ffmpeg: programAs('ffmpeg'),
      preview: { maxWidth: 64, fps: 1, quality: 72 },
      modelOf: () => ({
        spec: SPEC,
        scoreThreshold: 0.5,
        hashesInput: false,
        inferenceCalls: 1,
        inferenceInputs: 1,
        handOverInputs: 1,
      }),
      partTimes: new PartTimes(),
      pickLane: () => lane as unknown as LaneClient,
      attach: () => undefined,
      detach: () => undefined,
      scheduler: {
        serve: () => {
          isServed = true;
        },
        framesArrived: drain,
        withdraw: () => {
          isServed = false;
          return waiting.splice(0);
        },
      },
      event: (_kind, _stream, message, details) => void events.push({ message, code: details?.code }),
      onTarget: (_stream, { message }) => void events.push({ message, code: undefined }),
      room: () => null,
      publish: () => null,
      onPreview: () => undefined,
      onSign: () => undefined,
    };
    const input = { source: null, imagePaths: [], label: 'cam', policy, picture: null };
    const stream = new RuntimeStream(parseStream({ id: 'cam', source: 'cam' }, {}), input, port);
    stream.start();
    lane.listener.onLaneMessage({ type: 'running', ringId: lane.ringId });
    return stream;
  }

  const answerClose = (): void => lane.listener.onLaneMessage({ type: 'closed', ringId: lane.ringId });

  function gap(stream: RuntimeStream): number {
    return conservationGap(stream.telemetry.frames(stream.ledger.inFlight));
  }

  it('ignores a reconnect message that crosses its own close request', async () => {
    const stream = open('live');
    const paused = stream.pause();
    lane.listener.onLaneMessage({ type: 'reconnecting', ringId: lane.ringId, error: STALLED });
    answerClose();
    await paused;
    expect(stream.state).toBe('paused');
  });

  it('is open while it is served, not while it is pausing or paused', async () => {
    const stream = open('live');
    expect(stream.isOpen).toBe(true);
    const paused = stream.pause();
    expect(stream.isOpen).toBe(false);
    answerClose();
    await paused;
    expect(stream.isOpen).toBe(false);
    stream.resume();
    expect(stream.isOpen).toBe(true);
  });

  it('counts waiting frames as stopped, and frames that a dead lane had read as lane-failed', async () => {
    const stream = open('live');
    lane.read(0);
    lane.read(1, false);
    expect(gap(stream)).toBe(0);
    lane.listener.onLaneLost(new SightlineError('LANE_FAILED', 'a lane thread ended'));
    expect(stream.telemetry.frames(stream.ledger.inFlight)).toMatchObject({ in: 2, dropped: { 'lane-failed': 1 } });
    expect(stream.state).toBe('reconnecting');
    const removed = stream.remove();
    answerClose();
    await removed;
    expect(stream.telemetry.frames(stream.ledger.inFlight)).toEqual({
      in: 2,
      published: 0,
      inFlight: 0,
      dropped: { 'lane-failed': 1, stopped: 1 },
    });
  });

  it('reads a file on another lane from the first frame that was not handed over', () => {
    const stream = open('file');
    lane.read(0);
    lane.read(1);
    expect(waiting, 'frame 1 is in the ring, and nobody has asked').toHaveLength(1);
    lane.read(2, false);
    lane.listener.onLaneLost(new SightlineError('LANE_FAILED', 'a lane thread ended'));
    expect(lane.opened).toHaveLength(2);
    expect(lane.opened[1]).toMatchObject({ after: { frames: 2 }, firstFrame: 2 });
    expect(stream.telemetry.frames(stream.ledger.inFlight)).toMatchObject({ in: 2, inFlight: 2, dropped: {} });
  });

  it('reopens a stream that loses one lane after another more and more slowly, and then fails it', async () => {
    vi.useFakeTimers();
    const lost = new SightlineError('LANE_FAILED', 'a lane thread ended');
    const stream = open('live');
    const loseAndWait = (): void => {
      lane.listener.onLaneLost(lost);
      vi.advanceTimersByTime(4_000);
    };
    lane.listener.onLaneLost(lost);
    expect(lane.opened, 'at once, for the lane may have died for another reason').toHaveLength(2);
    lane.listener.onLaneLost(lost);
    expect(lane.opened, 'then with a wait').toHaveLength(2);
    vi.advanceTimersByTime(500);
    expect(lane.opened).toHaveLength(3);
    lane.read(0);
    expect(waiting, 'a frame shows that this stream is not the cause').toHaveLength(1);
    for (let i = 0; i < 5; i++) loseAndWait();
    expect([stream.state, lane.opened.length]).toEqual(['reconnecting', 8]);
    loseAndWait();
    for (const frame of waiting.splice(0)) frame.owner.drop(frame, 'stopped');
    await vi.advanceTimersByTimeAsync(1);
    expect([stream.state, stream.failure?.code, lane.opened.length]).toEqual(['failed', 'LANE_FAILED', 8]);
    expect(gap(stream)).toBe(0);
  });

  it('does not reopen a stream that was paused while it waited for another lane', async () => {
    vi.useFakeTimers();
    const stream = open('live');
    for (let i = 0; i < 2; i++) lane.listener.onLaneLost(new SightlineError('LANE_FAILED', 'a lane thread ended'));
    await stream.pause();
    vi.advanceTimersByTime(10_000);
    expect([stream.state, lane.opened.length]).toEqual(['paused', 2]);
    stream.resume();
    expect(lane.opened).toHaveLength(3);
  });

  it('accepts frames that a file handed over before its close message arrives', async () => {
    const stream = open('file');
    lane.read(0);
    lane.read(1);
    const removed = stream.remove();
    answerClose();
    await removed;
    expect(stream.telemetry.frames(stream.ledger.inFlight)).toEqual({
      in: 2,
      published: 0,
      inFlight: 0,
      dropped: { stopped: 2 },
    });
    expect(events.filter(({ code }) => code === 'FRAME_LEAKED')).toEqual([]);
  });

  it('emits a warning if a slot was not released', async () => {
    const stream = open('live');
    lane.read(0, false);
    const removed = stream.remove();
    answerClose();
    await removed;
    expect(events.filter(({ code }) => code === 'FRAME_LEAKED').map(({ message }) => message)).toEqual([
      'cam: 1 ring slot was not released',
    ]);
  });
});
