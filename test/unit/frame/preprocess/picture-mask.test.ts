import { describe, expect, it } from 'vitest';
import { placeView, viewsOf } from '../../../../src/base/geometry/views.ts';
import { PictureMask } from '../../../../src/frame/preprocess/picture-mask.ts';
import type { MaskConfig } from '../../../../src/settings/config/track.ts';

const UNSCALED = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };
const SIZE = { width: 120, height: 80 };
const WHOLE = [{ placement: UNSCALED, bounds: { x: 0, y: 0, ...SIZE } }];
const TRIANGLE: MaskConfig['polygon'] = [
  [0.25, 0.25],
  [0.75, 0.25],
  [0.25, 0.75],
];

function mask(fill: MaskConfig['fill'], polygon: MaskConfig['polygon'] = TRIANGLE): MaskConfig {
  return { id: 'm', polygon, fill };
}

/** Values that no two neighbours share, none of them 0. */
function busyPixels({ width, height }: typeof SIZE, seed = 0): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => 40 + ((i * 7919 + seed * 104729) % 200));
}

const at = (pixels: Uint8Array, x: number, y: number): number[] => [...pixels.subarray((y * 120 + x) * 3).slice(0, 3)];

describe('PictureMask', () => {
  it('blackens the polygon and a margin of six pixels, and nothing else', () => {
    const before = busyPixels(SIZE);
    const pixels = before.slice();
    new PictureMask([mask('black')]).hide(pixels, SIZE, SIZE, WHOLE);
    for (const [x, y] of [
      [31, 21],
      [60, 30],
      [32, 55],
      [24, 20],
    ] as const)
      expect(at(pixels, x, y), `${x},${y}`).toEqual([0, 0, 0]);
    for (let y = 0; y < 80; y += 1)
      for (let x = 0; x < 120; x += 1)
        if (x < 24 || y < 14 || x > 96 || y > 66 || (x - 30) / 60 + (y - 20) / 40 > 1.4)
          expect(at(pixels, x, y), `${x},${y}`).toEqual(at(before, x, y));
  });

  it('has no hole where a polygon crosses itself', () => {
    const star: MaskConfig['polygon'] = [0, 2, 4, 1, 3].map((i) => [
      0.5 + 0.45 * Math.sin((i * 2 * Math.PI) / 5),
      0.5 - 0.45 * Math.cos((i * 2 * Math.PI) / 5),
    ]);
    const pixels = busyPixels(SIZE);
    new PictureMask([mask('black', star)]).hide(pixels, SIZE, SIZE, WHOLE);
    expect(at(pixels, 60, 40)).toEqual([0, 0, 0]);
  });

  it('leaves nothing of a blurred area but a few colours, and reads nothing around it', () => {
    const [a, b] = [busyPixels(SIZE), busyPixels(SIZE)];
    // The same means, other details: two columns of each patch change places.
    for (let y = 25; y < 40; y += 5)
      for (let c = 0; c < 3; c += 1) {
        const [left, right] = [(y * 120 + 35) * 3 + c, (y * 120 + 36) * 3 + c];
        [b[left], b[right]] = [b[right]!, b[left]!];
      }
    // Another surrounding.
    b.fill(255, 0, 10 * 120 * 3);
    const blurred = new PictureMask([mask('blur')]);
    for (const pixels of [a, b]) blurred.hide(pixels, SIZE, SIZE, WHOLE);
    for (let y = 20; y < 60; y += 1)
      for (let x = 24; x < 30 + (60 - 1.5 * (y - 20)); x += 1) {
        expect(at(a, x, y), `${x},${y}`).toEqual(at(b, x, y));
        const [here, next] = [at(a, x, y)[0]!, at(a, x - 1, y)[0]!];
        if (x > 24) expect(Math.abs(here - next), `${x},${y}`).toBeLessThan(40);
      }
  });

  it('a blur too thin to be looked at shows no pixel, and of one colour stays that colour', () => {
    const pixels = new Uint8Array(SIZE.width * SIZE.height * 3).fill(77);
    const line: MaskConfig['polygon'] = [
      [0.1, 0.5],
      [0.9, 0.5],
      [0.9, 0.5],
    ];
    new PictureMask([mask('blur'), mask('blur', line)]).hide(pixels, SIZE, SIZE, WHOLE);
    expect(new Set(pixels)).toEqual(new Set([77]));
  });

  it('is black where a black and a blurred mask overlap, in whichever order they are written', () => {
    for (const masks of [
      [mask('black'), mask('blur')],
      [mask('blur'), mask('black')],
    ]) {
      const pixels = busyPixels(SIZE);
      new PictureMask(masks).hide(pixels, SIZE, SIZE, WHOLE);
      expect(at(pixels, 40, 30)).toEqual([0, 0, 0]);
    }
  });

  it('hides the part of each view, and leaves the borders of its input as they are', () => {
    const input = { width: 48, height: 48, resize: { mode: 'letterbox', anchor: 'center', padValue: 114 } as const };
    const views = viewsOf({ tiles: { columns: 2, rows: 1, overlap: 0, whole: true } })!;
    const placed = views.map((view) => placeView(view, SIZE, 1, UNSCALED, input));
    const pixels = new Uint8Array(3 * 48 * 48 * 3).fill(200);
    const right: MaskConfig['polygon'] = [
      [0.6, 0],
      [1, 0],
      [1, 1],
      [0.6, 1],
    ];
    new PictureMask([mask('black', right)]).hide(pixels, SIZE, input, placed);
    const value = (view: number, x: number, y: number): number => pixels[((view * 48 + y) * 48 + x) * 3]!;
    // The left tile shows columns 0 to 59, the mask begins at 72.
    expect(new Set(pixels.subarray(0, 48 * 48 * 3))).toEqual(new Set([200]));
    expect([value(1, 30, 24), value(1, 38, 2)]).toEqual([0, 0]);
    const { fit } = placed[1]!;
    expect([value(1, fit.x - 1, 24), value(1, fit.x + fit.width, 24)]).toEqual([200, 200]);
    expect([value(2, 10, 24), value(2, 45, 24), value(2, 45, placed[2]!.fit.y - 1)]).toEqual([200, 0, 200]);
  });

  it('follows a source that changes its size', () => {
    const hidden = new PictureMask([mask('black')]);
    hidden.hide(busyPixels(SIZE), SIZE, SIZE, WHOLE);
    const half = { width: 60, height: 40 };
    const placement = { scaleX: 1, scaleY: 1, offsetX: 30, offsetY: 20 };
    const pixels = busyPixels(SIZE);
    hidden.hide(pixels, half, SIZE, [{ placement, bounds: { x: 0, y: 0, ...half } }]);
    expect(at(pixels, 46, 31)).toEqual([0, 0, 0]);
    expect(at(pixels, 85, 25)).not.toEqual([0, 0, 0]);
  });
});
