import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { PtsUs } from '../../../../../src/base/core/units.ts';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { Lane } from '../../../../../src/frame/runtime/lane/lane.ts';
import { LaneFrames } from '../../../../../src/frame/runtime/lane/lane-frames.ts';
import type { FromLane, LaneStream } from '../../../../../src/wire/protocol/threads.ts';

const SIDE = 16;
const SLOTS = 64;
type Preview = Extract<FromLane, { type: 'preview' }>;

let nowMs = 0;
beforeEach(() => {
  nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});
afterEach(() => vi.restoreAllMocks());

/** The frames of one camera on a lane, in a ring with room for all of them. */
class Camera {
  readonly previews: Preview[] = [];
  readonly transfers: (readonly ArrayBuffer[])[] = [];
  readonly frames: LaneFrames;

  constructor(fps: number) {
    const ring = SlotRing.create({ slots: SLOTS, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
    const stream = {
      streamId: 's',
      ring: { ringId: 1, buffer: ring.buffer, shape: ring.shape },
      spec: { input: { width: SIDE, height: SIDE, resize: { mode: 'stretch' } } },
      policy: 'live',
      picture: null,
      every: 1,
      firstFrame: 0,
      shift: { x: 0, y: 0 },
      mediaTime: { lastUs: 0, shiftUs: 0 },
      changeGate: null,
      hashesInput: false,
      signs: [],
      masks: [],
      preview: { maxWidth: SIDE, fps, quality: 72 },
    } as unknown as LaneStream;
    const post = (message: FromLane, transfer: readonly ArrayBuffer[] = []): void => {
      if (message.type !== 'preview') return;
      this.previews.push(message);
      this.transfers.push(transfer);
    };
    this.frames = new LaneFrames(stream, { post, addPreprocessMs: () => undefined }, (fault) => {
      throw fault;
    });
  }

  /** ffmpeg delivers pictures at this interval. */
  deliver(count: number, everyMs: number): void {
    const { assembler } = this.frames;
    for (let i = 0; i < count; i++) {
      assembler.onHeader({ ptsUs: 0, width: SIDE, height: SIDE } as Parameters<typeof assembler.onHeader>[0]);
      const memory = assembler.nextBuffer()!;
      assembler.onBytes(memory.fill(200).length);
      nowMs += everyMs;
    }
  }
}

it('a watched stream makes at most `preview.fps` pictures a second, an unwatched one none', async () => {
  const camera = new Camera(5);
  camera.deliver(10, 40);
  camera.frames.pictures.isWatched = true;
  // One second: frames 10 to 34.
  camera.deliver(25, 40);
  camera.frames.pictures.isWatched = false;
  camera.deliver(10, 40);
  await vi.waitFor(() => expect(camera.previews).toHaveLength(5));
  await camera.frames.close();
  expect(camera.previews.map(({ frame }) => frame).sort((a, b) => a - b)).toEqual([10, 15, 20, 25, 30]);
});

it('a lane passes on which memory is to be transferred', async () => {
  const transfers: unknown[] = [];
  const lane = new Lane((_, transfer) => void transfers.push(transfer));
  const jpeg = new Uint8Array(4);
  const picture = { frame: 0, isFrame: true, ptsUs: 0 as PtsUs, width: 1, height: 1, tunings: 0, jpeg };
  lane.post({ type: 'preview', ringId: 1, ...picture }, [jpeg.buffer]);
  await lane.shutdown();
  expect(transfers).toEqual([[jpeg.buffer]]);
});

it('a picture crosses to the main thread without a copy', async () => {
  const camera = new Camera(1);
  camera.frames.pictures.isWatched = true;
  camera.deliver(1, 40);
  await vi.waitFor(() => expect(camera.previews).toHaveLength(1));
  const { port1, port2 } = new MessageChannel();
  const [sent] = camera.previews as [Preview];
  port1.postMessage(sent, camera.transfers[0]!);
  expect(sent.jpeg.byteLength, 'the lane no longer has it').toBe(0);
  const { message } = receiveMessageOnPort(port2) as { message: Preview };
  port1.close();
  const { format, width, height } = await sharp(message.jpeg).metadata();
  expect([format, width, height]).toEqual(['jpeg', SIDE, SIDE]);
});
