import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { Lane } from '../../../../../src/frame/runtime/lane/lane.ts';
import type { FromLane, LaneStream } from '../../../../../src/wire/protocol/threads.ts';
import { testFfmpeg } from '../../../../support/made-videos.ts';
import { waitFor } from '../../../../support/wait-for.ts';

const SIDE = 4;

describe('a lane with a stream whose code throws', () => {
  let messages: FromLane[];
  let lane: Lane;

  beforeEach(() => {
    messages = [];
    lane = new Lane((message) => void messages.push(message));
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await lane.shutdown();
  });

  /** A ring large enough that nothing has to be released. */
  function stream(ringId: number, isLive: boolean): { message: LaneStream; ring: SlotRing } {
    const ring = SlotRing.create({ slots: 200, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
    const options = { loop: false, realtime: true, rtspTransport: 'tcp', readTimeoutMs: 5000 };
    const source = {
      kind: 'synthetic',
      url: 'testsrc2=size=64x64:rate=25:duration=4',
      label: `s${ringId}`,
      isLive,
      probeAddress: null,
      options,
    };
    const message = {
      streamId: `s${ringId}`,
      ring: { ringId, buffer: ring.buffer, shape: ring.shape },
      spec: { input: { width: SIDE, height: SIDE, resize: { mode: 'stretch' } } },
      policy: 'file',
      picture: null,
      input: { kind: 'video', source },
      ffmpeg: testFfmpeg,
      every: 1,
      maxFps: null,
      hwaccel: 'none',
      decodeThreads: 1,
      staleMs: 3000,
      openTimeoutMs: 9000,
      firstFrame: 0,
      shift: { x: 0, y: 0 },
      mediaTime: { lastUs: 0, shiftUs: 0 },
      after: null,
      isBackground: false,
      changeGate: null,
      hashesInput: false,
      signs: [],
      masks: [],
    } as unknown as LaneStream;
    return { message, ring };
  }

  const of = (ringId: number, type: FromLane['type']): FromLane[] =>
    messages.filter((message) => message.type === type && 'ringId' in message && message.ringId === ringId);

  /** Makes the handling of one stream's pictures fail. */
  function breakPictures({ buffer }: SlotRing): void {
    const write = SlotRing.prototype.writeMeta;
    vi.spyOn(SlotRing.prototype, 'writeMeta').mockImplementation(function (this: SlotRing, ...args) {
      if (this.buffer === buffer) throw new RangeError('offset is out of bounds');
      write.apply(this, args);
    });
  }

  it('fails that stream alone if it cannot be set up', async () => {
    const good = stream(1, false);
    lane.handle({ type: 'open', stream: good.message });
    lane.handle({ type: 'open', stream: { ...stream(2, false).message, ring: { ringId: 2 } } as LaneStream });
    expect(of(2, 'failed')).toMatchObject([{ error: { code: 'INTERNAL_ERROR' } }]);
    await waitFor('frames of the other', () => good.ring.completedCount > 3);
    lane.handle({ type: 'close', ringId: 2 });
    await waitFor('the answer', () => of(2, 'closed').length === 1);
  });

  it('fails that file alone if a picture cannot be handled, and ends its ffmpeg', async () => {
    const [good, bad] = [stream(1, false), stream(2, false)];
    breakPictures(bad.ring);
    for (const { message } of [good, bad]) lane.handle({ type: 'open', stream: message });
    await waitFor('its failure', () => of(2, 'failed').length === 1);
    expect(of(2, 'failed')).toMatchObject([{ error: { code: 'INTERNAL_ERROR', message: 'offset is out of bounds' } }]);
    await waitFor('the end of its ffmpeg', () => of(2, 'child-gone').length === 1);
    await waitFor('frames of the other', () => good.ring.completedCount > 3);
    expect(of(1, 'failed')).toEqual([]);
  });

  it('opens a live stream again, but not for ever', async () => {
    const bad = stream(2, true);
    breakPictures(bad.ring);
    lane.handle({ type: 'open', stream: bad.message });
    await waitFor('its failure', () => of(2, 'failed').length === 1);
    expect(of(2, 'reconnecting')).toHaveLength(4);
  });
});
