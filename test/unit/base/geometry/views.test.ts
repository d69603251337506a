import { describe, expect, it } from 'vitest';
import { placeView, type View, viewCount, viewPixels, viewsOf } from '../../../../src/base/geometry/views.ts';

const WHOLE: View = { left: 0, top: 0, right: 1, bottom: 1 };
const UNSCALED = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };

/** Left, top, right, bottom of each view, to four decimals. */
function edges(views: readonly View[] | null): number[][] {
  return (views ?? []).map(({ left, top, right, bottom }) =>
    [left, top, right, bottom].map((edge) => Number(edge.toFixed(4))),
  );
}

describe('viewsOf', () => {
  it.each([
    ['no settings', {}],
    ['a region that is the whole picture', { region: { x: 0, y: 0, width: 1, height: 1 } }],
    ['one tile', { tiles: { columns: 1, rows: 1, overlap: 0.2, whole: true } }],
  ])('is null for %s: the picture as a whole needs no view', (_, settings) => {
    expect(viewsOf(settings)).toBeNull();
    expect(viewCount(settings)).toBe(1);
  });

  it('has the rectangle of a region', () => {
    expect(edges(viewsOf({ region: { x: 0.1, y: 0.2, width: 0.3, height: 0.4 } }))).toEqual([[0.1, 0.2, 0.4, 0.6]]);
  });

  it('has the box around all zones with a margin of 0.05, inside the picture', () => {
    const zones = [
      {
        polygon: [
          [0.4, 0.5],
          [0.6, 0.5],
          [0.5, 0.9],
        ] as [number, number][],
      },
      {
        polygon: [
          [0.2, 0.97],
          [0.3, 0.98],
          [0.3, 0.6],
        ] as [number, number][],
      },
    ];
    expect(edges(viewsOf({ region: 'zones', zones }))).toEqual([[0.15, 0.45, 0.65, 1]]);
  });

  it('has tiles row by row that overlap by their share, then the whole', () => {
    // Two tiles of length t with an overlap of 0.2 t fill 1.8 t = 1.
    const t = 1 / 1.8;
    const [a, b] = [Number((1 - t).toFixed(4)), Number(t.toFixed(4))];
    expect(edges(viewsOf({ tiles: { columns: 2, rows: 2, overlap: 0.2, whole: true } }))).toEqual([
      [0, 0, b, b],
      [a, 0, 1, b],
      [0, a, b, 1],
      [a, a, 1, 1],
      [0, 0, 1, 1],
    ]);
  });

  it('has tiles without overlap side by side, and no whole if that is off', () => {
    expect(edges(viewsOf({ tiles: { columns: 4, rows: 1, overlap: 0, whole: false } }))).toEqual([
      [0, 0, 0.25, 1],
      [0.25, 0, 0.5, 1],
      [0.5, 0, 0.75, 1],
      [0.75, 0, 1, 1],
    ]);
  });

  it('divides the region where there is one, and takes the region for the whole', () => {
    const region = { x: 0.5, y: 0.5, width: 0.5, height: 0.25 };
    expect(edges(viewsOf({ region, tiles: { columns: 2, rows: 1, overlap: 0.5, whole: true } }))).toEqual([
      [0.5, 0.5, 0.8333, 0.75],
      [0.6667, 0.5, 1, 0.75],
      [0.5, 0.5, 1, 0.75],
    ]);
  });

  it.each([1, 2, 3, 5, 16])('leaves no gap between %i tiles, from one edge of the picture to the other', (columns) => {
    for (const overlap of [0, 0.1, 0.2, 0.5]) {
      const views = viewsOf({ tiles: { columns, rows: 2, overlap, whole: false } })!.slice(0, columns);
      expect(views[0]!.left).toBe(0);
      expect(views.at(-1)!.right).toBe(1);
      for (const [i, view] of views.slice(1).entries()) expect(view.left).toBeLessThanOrEqual(views[i]!.right);
      const lengths = views.map(({ left, right }) => right - left);
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThan(2e-6);
    }
  });
});

describe('viewPixels', () => {
  it.each([
    ['edges on even pixels are exact', { left: 0.25, top: 0.5, right: 0.75, bottom: 1 }, [320, 180, 80, 90, 160, 90]],
    ['others are moved outwards', { left: 0.1, top: 0.1, right: 0.3, bottom: 0.3 }, [101, 55, 10, 4, 22, 14]],
    ['an odd picture is shown up to its last pixel', WHOLE, [321, 181, 0, 0, 321, 181]],
    ['the right edge of an odd picture', { left: 0.5, top: 0.5, right: 1, bottom: 1 }, [321, 181, 160, 90, 161, 91]],
    ['a picture of one pixel', { left: 0.4, top: 0.4, right: 0.6, bottom: 0.6 }, [1, 1, 0, 0, 1, 1]],
    ['a picture of two pixels', { left: 0.9, top: 0, right: 0.95, bottom: 1 }, [2, 2, 0, 0, 2, 2]],
  ] as const)('%s', (_, view, [width, height, ...expected]) => {
    const { x, y, width: w, height: h } = viewPixels(view, { width, height });
    expect([x, y, w, h]).toEqual(expected);
  });

  it('never loses the last pixel of a whole number to a rounding error', () => {
    // 0.29 * 100 is 28.999999999999996, and 0.14 * 50 is 7.000000000000001.
    for (const size of [50, 100, 200, 1000])
      for (let edge = 2; edge < size; edge += 2) {
        const ratio = Number((edge / size).toFixed(6));
        const view = { ...WHOLE, left: ratio };
        expect(viewPixels(view, { width: size, height: 2 }).x).toBe(edge);
        expect(viewPixels({ ...WHOLE, right: ratio }, { width: size, height: 2 }).width).toBe(edge);
      }
  });
});

describe('placeView', () => {
  const input = { width: 100, height: 100, resize: { mode: 'letterbox', anchor: 'center', padValue: 0 } } as const;

  it('maps the corners of the view to the corners of its picture in the input', () => {
    const view = { left: 0.25, top: 0.5, right: 0.75, bottom: 1 };
    // 200x100 pixels from (100, 100) on, shrunk by 2 into 100x50 pixels from (0, 25) on.
    const { placement, bounds } = placeView(view, { width: 400, height: 200 }, 1, UNSCALED, input);
    expect(bounds).toEqual({ x: 100, y: 100, width: 200, height: 100 });
    expect(placement).toEqual({ scaleX: 0.5, scaleY: 0.5, offsetX: -50, offsetY: -25 });
  });

  it('counts source pixels as they are displayed where stored ones are not square', () => {
    // 200x200 stored, 400x200 displayed. The right half: 100 stored columns, as wide as high when displayed.
    const view = { ...WHOLE, left: 0.5 };
    const onStored = { scaleX: 0.5, scaleY: 1, offsetX: 0, offsetY: 0 };
    const { placement, bounds, crop } = placeView(view, { width: 200, height: 200 }, 2, onStored, input);
    expect(crop).toEqual({ x: 100, y: 0, width: 100, height: 200 });
    expect(bounds).toEqual({ x: 200, y: 0, width: 200, height: 200 });
    expect(placement).toEqual({ scaleX: 0.5, scaleY: 0.5, offsetX: -100, offsetY: 0 });
  });
});
