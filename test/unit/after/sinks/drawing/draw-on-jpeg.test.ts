import sharp from 'sharp';
import { expect, it } from 'vitest';
import { drawOnJpeg } from '../../../../../src/after/sinks/drawing/draw-on-jpeg.ts';

const FRAME = {
  width: 1280,
  height: 720,
  detections: [{ classId: 0, label: 'person', score: 0.9, box: [640, 360, 320, 180] as const }],
};
const PLAN = {
  zones: [
    {
      id: 'yard',
      polygon: [
        [0.1, 0.1],
        [0.4, 0.1],
        [0.4, 0.4],
        [0.1, 0.4],
      ] as const,
    },
  ],
  lines: [{ id: 'gate', from: [0.1, 0.9] as const, to: [0.9, 0.9] as const }],
};
const COUNTS = { zones: [], lines: [] };

it.each(['srgb', 'b-w'] as const)(
  'draws boxes, zones and lines where they are, on a picture in %s of any size',
  async (space) => {
    const create = { width: 640, height: 360, channels: 3, background: '#808080' } as const;
    const jpeg = await sharp({ create }).toColourspace(space).jpeg().toBuffer();
    const drawn = await drawOnJpeg(jpeg, FRAME, PLAN, COUNTS);
    const { data, info } = await sharp(drawn).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height, info.channels]).toEqual([640, 360, 3]);
    const isMarked = (x: number, y: number): boolean => {
      const at = (y * 640 + x) * 3;
      return Math.max(...[0, 1, 2].map((i) => Math.abs(data[at + i]! - 128))) > 30;
    };
    expect([isMarked(320, 240), isMarked(64, 100), isMarked(200, 324)], 'box, zone, line').toEqual([true, true, true]);
    expect([isMarked(400, 225), isMarked(500, 100), isMarked(200, 280)], 'nothing else').toEqual([false, false, false]);
  },
);

it('rejects what is no JPEG', async () => {
  await expect(drawOnJpeg(Buffer.from('no picture'), FRAME, PLAN, COUNTS)).rejects.toThrow(/unsupported image format/);
});
