import { describe, expect, it } from 'vitest';
import type { PtsUs } from '../../../../../src/base/core/units.ts';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { LaneFrames } from '../../../../../src/frame/runtime/lane/lane-frames.ts';
import type { FromLane, LaneStream } from '../../../../../src/wire/protocol/threads.ts';

const SIDE = 4;
const BYTES = SIDE * SIDE * 3;

/** A live stream on a lane, fed with headers and pictures as ffmpeg would. */
function rig(every = 1, more: object = {}) {
  const ring = SlotRing.create({ slots: 8, inputBytes: BYTES, pictureBytes: 0 });
  const messages: FromLane[] = [];
  const spec = { input: { width: SIDE, height: SIDE, resize: { mode: 'stretch' } } };
  const stream = {
    ring: { ringId: 1, buffer: ring.buffer, shape: ring.shape },
    spec,
    policy: 'live',
    picture: null,
    every,
    firstFrame: 0,
    shift: { x: 0, y: 0 },
    mediaTime: { lastUs: 0, shiftUs: 0 },
    changeGate: null,
    hashesInput: false,
    signs: [],
    masks: [],
    ...more,
  } as unknown as LaneStream;
  const port = { post: (message: FromLane) => void messages.push(message), addPreprocessMs: () => undefined };
  const frames = new LaneFrames(stream, port, (fault) => {
    throw fault;
  });
  const header = (ptsUs: number): void => frames.onHeader({ ptsUs: ptsUs as PtsUs, width: SIDE, height: SIDE });
  const picture = (): void => {
    frames.assembler.nextBuffer()!.fill(1);
    frames.assembler.onBytes(BYTES);
  };
  const times = (): number[] => {
    const all: number[] = [];
    for (let slot = ring.take(); slot >= 0; slot = ring.take()) all.push(ring.readMeta(slot).ptsUs);
    return all;
  };
  const handed = (): number[] => {
    const numbers: number[] = [];
    for (let slot = ring.take(); slot >= 0; slot = ring.take()) numbers.push(ring.readMeta(slot).frame);
    return numbers;
  };
  const shedCounts = (): number[] =>
    messages.flatMap((message) => (message.type === 'dropped' && message.reason === 'shed' ? [message.count] : []));
  return { frames, ring, header, picture, handed, times, shedCounts };
}

it('masks apply from the next picture on: one that is complete has the old ones, and no picture has none', () => {
  const of = (left: number, right: number) => ({
    masks: [
      {
        id: 'm',
        polygon: [
          [left, 0],
          [right, 0],
          [right, 1],
          [left, 1],
        ],
        fill: 'black',
      },
    ],
  });
  const wide = { ring: SlotRing.create({ slots: 8, inputBytes: 64 * 4 * 3, pictureBytes: 0 }) };
  const spec = { input: { width: 64, height: 4, resize: { mode: 'stretch' } } };
  const handle = { ring: { ringId: 1, buffer: wide.ring.buffer, shape: wide.ring.shape }, spec };
  const { frames } = rig(1, { ...handle, ...of(0, 0.25) });
  const deliver = (): number[] => {
    frames.onHeader({ ptsUs: 0 as PtsUs, width: 64, height: 4 });
    frames.assembler.onBytes(frames.assembler.nextBuffer()!.fill(200).length);
    const input = wide.ring.input(wide.ring.take());
    return [input[0]!, input[63 * 3]!];
  };
  expect(deliver()).toEqual([0, 200]);
  frames.assembler.nextBuffer()!.fill(200);
  frames.tune({ ...frames.stream, ...of(0.75, 1) } as LaneStream);
  expect(deliver()).toEqual([200, 0]);
  frames.tune({ ...frames.stream, masks: [] } as LaneStream);
  expect(deliver()).toEqual([200, 200]);
});

describe('a camera that moves', () => {
  const [WIDTH, HEIGHT] = [160, 90];
  /** A picture of stripes of all widths, seen from a place. */
  const paint = (pixels: Uint8Array, at: number): void => {
    for (let i = 0; i < WIDTH * HEIGHT; i++) {
      const [x, y] = [(i % WIDTH) + at, Math.floor(i / WIDTH)];
      pixels.fill(128 + 60 * Math.sin(x * x * 0.003) + 60 * Math.sin(y * y * 0.005), 3 * i, 3 * i + 3);
    }
  };
  const moving = (more: object) => {
    const ring = SlotRing.create({ slots: 2, inputBytes: WIDTH * HEIGHT * 3, pictureBytes: 0 });
    const spec = { input: { width: WIDTH, height: HEIGHT, resize: { mode: 'stretch' } } };
    const { frames } = rig(1, { ring: { ringId: 1, buffer: ring.buffer, shape: ring.shape }, spec, ...more });
    let ptsUs = 0;
    const show = (at: number, size = { width: 2 * WIDTH, height: 2 * HEIGHT }): void => {
      ptsUs += 40_000;
      frames.onHeader({ ptsUs: ptsUs as PtsUs, ...size });
      const pixels = frames.assembler.nextBuffer()!;
      paint(pixels, at);
      frames.assembler.onBytes(pixels.length);
    };
    const shift = () => {
      const slot = ring.take();
      const { x, y } = ring.readMeta(slot).shift;
      ring.release(slot);
      return [Math.round(x / 4) * 4, Math.round(y / 4) * 4];
    };
    return { frames, show, shift };
  };

  it('moves the scene of each frame, in source pixels, also while there is no room for a frame', () => {
    const { show, shift } = moving({ findsShift: true });
    show(0);
    show(10);
    // Both slots are held.
    show(20);
    expect([shift(), shift()]).toEqual([
      [0, 0],
      [-20, 0],
    ]);
    show(20);
    expect(shift()).toEqual([-40, 0]);
  });

  it('goes on from where an earlier lane was, and a picture of another size is compared with none', () => {
    const { show, shift } = moving({ findsShift: true, shift: { x: 100, y: 40 } });
    show(0);
    expect(shift()).toEqual([100, 40]);
    show(10, { width: WIDTH, height: HEIGHT });
    expect(shift()).toEqual([100, 40]);
    show(0, { width: WIDTH, height: HEIGHT });
    expect(shift()).toEqual([112, 40]);
  });

  it('is followed only while somebody asks for it', () => {
    const { frames, show, shift } = moving({ findsShift: false });
    show(0);
    show(10);
    expect([shift(), shift()]).toEqual([
      [0, 0],
      [0, 0],
    ]);
    frames.tune({ ...frames.stream, findsShift: true } as LaneStream);
    show(10);
    show(20);
    expect([shift(), shift()]).toEqual([
      [0, 0],
      [-20, 0],
    ]);
  });
});

describe('frames that were shed', () => {
  it.each([1, 3])('have numbers, so that those after them have the right ones (every %i)', (every) => {
    const { frames, header, picture, handed } = rig(every);
    header(0);
    picture();
    frames.onShed();
    frames.onShed();
    header(3);
    // The log is ahead of the pictures.
    frames.onShed();
    header(5);
    picture();
    picture();
    expect(handed()).toEqual([0, 3, 5].map((number) => number * every));
  });

  it('are counted at once, and reported together', () => {
    const { frames, ring, shedCounts } = rig();
    for (let i = 0; i < 5; i++) frames.onShed();
    expect([ring.completedCount, shedCounts()]).toEqual([5, []]);
    frames.reportShed();
    frames.reportShed();
    expect(shedCounts()).toEqual([5]);
  });

  it('are reported and numbered if the connection ends after them', async () => {
    const { frames, header, picture, handed, shedCounts } = rig();
    header(0);
    picture();
    frames.onShed();
    frames.startOver();
    expect(shedCounts()).toEqual([1]);
    header(0);
    picture();
    expect(handed()).toEqual([0, 2]);
    frames.onShed();
    await frames.close();
    expect(shedCounts()).toEqual([1, 1]);
  });
});

describe('the media time of a stream that is read once', () => {
  const pts = [0, 160_000, 40_000, 200_000];
  it.each([
    ['rtsp', [1_000_000, 1_160_000, 1_160_000, 1_200_000]],
    ['file', [1_000_000, 1_160_000, 1_040_000, 1_200_000]],
  ])('of the kind %s', (kind, expected) => {
    const input = { kind: 'video', source: { kind } };
    const mediaTime = { lastUs: 960_000, shiftUs: 1_000_000 };
    const { header, picture, times } = rig(1, { policy: 'file', input, mediaTime });
    for (const us of pts) {
      header(us);
      picture();
    }
    expect(times()).toEqual(expected);
  });
});
