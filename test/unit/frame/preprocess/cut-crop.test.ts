import { describe, expect, it } from 'vitest';
import type { ModelSpec, ResizeRule } from '../../../../src/base/core/model.ts';
import { cropPlacement, cutCrop } from '../../../../src/frame/preprocess/cut-crop.ts';

const WIDTH = 40;
/** Red is the column, green the row. */
const picture = Uint8Array.from({ length: WIDTH * 30 * 3 }, (_, at) => {
  const pixel = Math.floor(at / 3);
  return [pixel % WIDTH, Math.floor(pixel / WIDTH), 7][at % 3]!;
});

function spec(width: number, height: number, resize: ResizeRule, family: ModelSpec['family'] = 'heads'): ModelSpec {
  const input = { width, height, resize };
  return {
    name: 'm',
    family,
    input,
    classes: ['a'],
    nmsIou: null,
    scoreThreshold: 0,
    maxDetections: 1,
    classesPerBox: 'best',
  };
}

function cut(of: ModelSpec, crop: { x: number; y: number; width: number; height: number; angle?: number }): number[][] {
  const { width, height } = of.input;
  const input = new Uint8Array(width * height * 3).fill(200);
  cutCrop(picture, WIDTH, crop, of, input);
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_x, x) => input[(y * width + x) * 3]! * 100 + input[(y * width + x) * 3 + 1]!),
  );
}

const LETTERBOX = { mode: 'letterbox', anchor: 'top-left', padValue: 9, kernel: 'linear' } as const;

describe('a crop', () => {
  it('has the pixels of its place, also at the edges of the picture', () => {
    const of = spec(3, 2, { mode: 'stretch', kernel: 'linear' });
    expect(cut(of, { x: 5, y: 6, width: 3, height: 2 })).toEqual([
      [506, 606, 706],
      [507, 607, 707],
    ]);
    expect(cut(of, { x: 37, y: 28, width: 3, height: 2 })[1]).toEqual([3729, 3829, 3929]);
  });

  it('is letterboxed in grey, and what was in the input before is gone', () => {
    const rows = cut(spec(4, 4, LETTERBOX), { x: 0, y: 0, width: 4, height: 2 });
    expect(rows[1]).toEqual([1, 101, 201, 301]);
    expect(rows.slice(2)).toEqual([Array(4).fill(909), Array(4).fill(909)]);
  });

  it('of text fills the height, and is squeezed where it is too long', () => {
    const text = spec(8, 4, LETTERBOX, 'ctc');
    const short = cut(text, { x: 0, y: 0, width: 4, height: 4 });
    expect(short[3]).toEqual([3, 103, 203, 303, 909, 909, 909, 909]);
    const long = cut(text, { x: 0, y: 0, width: 16, height: 4 });
    expect(long.map((row) => row[0]! % 100)).toEqual([0, 1, 2, 3]);
    expect(long[0]!.map((value) => Math.floor(value / 100))).toEqual([1, 3, 5, 7, 9, 11, 13, 15]);
  });

  it('of a turned box is what the box shows upright', () => {
    const [size, centre, side] = [120, [62.5, 57.25] as const, { width: 60, height: 24 }];
    /** What is at a place of the upright box, from its centre. */
    const shown = (u: number, v: number): number[] => [128 + 2 * u, 128 + 3 * v, 128 + 100 * Math.sin(u / 9 + v / 7)];
    for (const angle of [-90, -37.5, 0.1, 30, 89]) {
      const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
      const turned = Uint8Array.from({ length: size * size * 3 }, (_, at) => {
        const [i, j] = [Math.floor(at / 3) % size, Math.floor(at / 3 / size)];
        const [dx, dy] = [i + 0.5 - centre[0], j + 0.5 - centre[1]];
        return Math.min(255, Math.max(0, Math.round(shown(dx * cos + dy * sin, -dx * sin + dy * cos)[at % 3]!)));
      });
      const crop = { x: centre[0] - side.width / 2, y: centre[1] - side.height / 2, ...side, angle };
      const input = new Uint8Array(side.width * side.height * 3);
      cutCrop(turned, size, crop, spec(side.width, side.height, { mode: 'stretch', kernel: 'linear' }), input);
      const off = Array.from(input, (value, at) => {
        const [i, j] = [Math.floor(at / 3) % side.width, Math.floor(at / 3 / side.width)];
        return Math.abs(value - shown(i + 0.5 - side.width / 2, j + 0.5 - side.height / 2)[at % 3]!);
      });
      expect([angle, Math.max(...off) < 2.5]).toEqual([angle, true]);
    }
  });

  it('of a turned box goes on with the border beyond the picture', () => {
    const of = spec(4, 2, { mode: 'stretch', kernel: 'linear' });
    expect(cut(of, { x: -2, y: -1, width: 4, height: 2, angle: 0 })[0]).toEqual([0, 0, 0, 100]);
  });

  it('shows the middle of a part if the model is given the middle of pictures', () => {
    const of = spec(4, 4, { mode: 'crop', share: 0.5, kernel: 'linear' });
    expect(cut(of, { x: 4, y: 6, width: 16, height: 8 })).toEqual(
      [8, 9, 10, 11].map((y) => [10, 11, 12, 13].map((x) => x * 100 + y)),
    );
  });

  it('maps pixels of the picture to those of the input', () => {
    const { scaleX, scaleY, offsetX, offsetY } = cropPlacement(
      { x: 10, y: 20, width: 20, height: 5 },
      spec(40, 20, { mode: 'stretch' }),
    );
    expect([10 * scaleX + offsetX, 20 * scaleY + offsetY]).toEqual([0, 0]);
    expect([30 * scaleX + offsetX, 25 * scaleY + offsetY]).toEqual([40, 20]);
  });
});
