import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { LaneImages } from '../../../../../src/frame/runtime/lane/lane-images.ts';
import type { FromLane, LaneStream } from '../../../../../src/wire/protocol/threads.ts';
import { testFfmpeg } from '../../../../support/made-videos.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-lane-'));
const paths = [0, 1, 2, 3].map((n) => join(folder, `${n}.png`));

beforeAll(async () => {
  for (const [n, path] of paths.entries())
    await sharp({ create: { width: 4 + n, height: 4, channels: 3, background: { r: n, g: n, b: n } } }).toFile(path);
});

/** Reads images with a ring of this many slots; each frame is released as soon as it is reported. */
function read(images: readonly string[], { skip = 0, slots = 2, masks = [] as object[] } = {}) {
  const ring = SlotRing.create({ slots, inputBytes: 4 * 4 * 3, pictureBytes: 0 });
  const frames: [frame: number, width: number, grey: number][] = [];
  const last: FromLane[] = [];
  const post = (message: FromLane): void => {
    if (message.type !== 'frames') return void last.push(message);
    ring.listen();
    const slot = ring.take();
    const { frame, width } = ring.readMeta(slot);
    frames.push([frame, width, ring.input(slot)[0]!]);
    setImmediate(() => {
      ring.release(slot);
      if (ring.takeWaiting()) lane.onSlotFree();
    });
  };
  ring.listen();
  const spec = {
    name: 'test',
    family: 'yolox',
    input: { width: 4, height: 4, resize: { mode: 'stretch' } },
    classes: [],
    nmsIou: null,
    scoreThreshold: 0,
    maxDetections: 1,
    classesPerBox: 'best',
  } as const;
  const after = skip === 0 ? null : { frames: skip, ptsUs: 0 };
  const shared = { ringId: 7, buffer: ring.buffer, shape: ring.shape };
  const stream = { ring: shared, spec, after, masks, ffmpeg: testFfmpeg } as unknown as LaneStream;
  const lane = new LaneImages(
    stream,
    { kind: 'images', paths: images, resizeBy: 'sharp' },
    { post, addPreprocessMs: () => undefined },
  );
  lane.open();
  return { lane, ring, frames, last };
}

describe('LaneImages', () => {
  it('reads one frame per image, numbered by its index, however few slots there are', async () => {
    const { frames, last, ring } = read(paths, { slots: 1 });
    await expect.poll(() => last.at(-1)).toMatchObject({ type: 'ended', frames: 4 });
    expect(frames).toEqual([0, 1, 2, 3].map((n) => [n, 4 + n, n]));
    await expect.poll(() => ring.heldCount).toBe(0);
  });

  it('continues after the images that were read before', async () => {
    const { frames, last } = read(paths, { skip: 2 });
    await expect.poll(() => last.at(-1)).toMatchObject({ type: 'ended' });
    expect(frames.map(([frame]) => frame)).toEqual([2, 3]);
  });

  it('hides what is masked before anybody gets the picture', async () => {
    const polygon = [
      [0, 0],
      [1, 0],
      [1, 1],
    ];
    const { frames, last } = read(paths, { masks: [{ id: 'm', polygon, fill: 'black' }] });
    await expect.poll(() => last.at(-1)).toMatchObject({ type: 'ended' });
    expect(frames.map(([, , grey]) => grey)).toEqual([0, 0, 0, 0]);
  });

  it('fails on a file that is not an image, and names it', async () => {
    const { frames, last, ring } = read([paths[0]!, 'package.json']);
    await expect
      .poll(() => last.at(-1))
      .toMatchObject({
        type: 'failed',
        error: { code: 'SOURCE_UNREADABLE', message: expect.stringMatching(/^package\.json: not an image/) },
      });
    expect(frames).toHaveLength(1);
    await expect.poll(() => ring.heldCount).toBe(0);
  });
});
