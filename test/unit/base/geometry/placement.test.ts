import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ResizeRule } from '../../../../src/base/core/model.ts';
import {
  composePlacements,
  fitInto,
  fitOnTarget,
  type Placement,
  placementOf,
  rowsToSource,
} from '../../../../src/base/geometry/placement.ts';

const STRETCH: ResizeRule = { mode: 'stretch' };
const CENTER: ResizeRule = { mode: 'letterbox', anchor: 'center', padValue: 0 };
const TOP_LEFT: ResizeRule = { mode: 'letterbox', anchor: 'top-left', padValue: 114 };
const FLOORED: ResizeRule = { ...TOP_LEFT, rounding: 'floor' };
const CROP: ResizeRule = { mode: 'crop', share: 7 / 8 };
const MIDDLE: ResizeRule = { mode: 'crop', share: 1 };
const RULES = [STRETCH, CENTER, TOP_LEFT];

const size = (max: number) => fc.record({ width: fc.integer({ min: 1, max }), height: fc.integer({ min: 1, max }) });

describe('fitInto', () => {
  it.each([
    [
      '16:9 into a square, at the top',
      { width: 1920, height: 1080 },
      { width: 640, height: 640 },
      TOP_LEFT,
      [640, 360, 0, 0],
    ],
    [
      '16:9 into a square, centred',
      { width: 1920, height: 1080 },
      { width: 640, height: 640 },
      CENTER,
      [640, 360, 0, 140],
    ],
    [
      '9:16 into a square, centred',
      { width: 432, height: 768 },
      { width: 512, height: 512 },
      CENTER,
      [288, 512, 112, 0],
    ],
    ['an odd remainder goes right and below', { width: 3, height: 2 }, { width: 8, height: 8 }, CENTER, [8, 5, 0, 1]],
    ['a line stays one pixel high', { width: 5000, height: 1 }, { width: 416, height: 416 }, TOP_LEFT, [416, 1, 0, 0]],
    ['two pixels are enlarged', { width: 2, height: 2 }, { width: 512, height: 512 }, CENTER, [512, 512, 0, 0]],
    ['275.6 pixels rounded', { width: 424, height: 640 }, { width: 416, height: 416 }, TOP_LEFT, [276, 416, 0, 0]],
    ['275.6 pixels rounded down', { width: 424, height: 640 }, { width: 416, height: 416 }, FLOORED, [275, 416, 0, 0]],
    [
      'rounded down, the side that fills the input fills it',
      { width: 427, height: 427 },
      { width: 416, height: 416 },
      FLOORED,
      [416, 416, 0, 0],
    ],
    [
      'cropped: 7/8 of the shorter side',
      { width: 640, height: 480 },
      { width: 224, height: 224 },
      CROP,
      [341, 256, -58, -16],
    ],
    [
      'cropped: all of the shorter side',
      { width: 300, height: 900 },
      { width: 100, height: 100 },
      MIDDLE,
      [100, 300, 0, -100],
    ],
    ['stretched, whatever the aspect', { width: 7, height: 3 }, { width: 512, height: 256 }, STRETCH, [512, 256, 0, 0]],
  ] as const)('%s', (_, source, target, rule, [width, height, x, y]) => {
    expect(fitInto(source, target, rule)).toEqual({ width, height, x, y });
  });

  it('never leaves the target and keeps the aspect to within half a pixel', () => {
    fc.assert(
      fc.property(size(8000), size(2000), fc.constantFrom(CENTER, TOP_LEFT), (source, target, rule) => {
        const fit = fitInto(source, target, rule);
        expect(fit.x).toBeGreaterThanOrEqual(0);
        expect(fit.y).toBeGreaterThanOrEqual(0);
        expect(fit.x + fit.width).toBeLessThanOrEqual(target.width);
        expect(fit.y + fit.height).toBeLessThanOrEqual(target.height);
        const ratio = Math.min(target.width / source.width, target.height / source.height);
        expect(Math.abs(fit.width - Math.max(1, source.width * ratio))).toBeLessThanOrEqual(0.5 + 1e-9);
        expect(Math.abs(fit.height - Math.max(1, source.height * ratio))).toBeLessThanOrEqual(0.5 + 1e-9);
      }),
    );
  });
});

function apply(placement: Placement, x: number, y: number): [number, number] {
  return [x * placement.scaleX + placement.offsetX, y * placement.scaleY + placement.offsetY];
}

describe('placements', () => {
  it('map the corners of the picture to the corners of its fit', () => {
    fc.assert(
      fc.property(size(8000), size(2000), fc.constantFrom(...RULES), (source, target, rule) => {
        const fit = fitInto(source, target, rule);
        const [right, bottom] = apply(placementOf(source, fit), source.width, source.height);
        expect(apply(placementOf(source, fit), 0, 0)).toEqual([fit.x, fit.y]);
        expect(right).toBeCloseTo(fit.x + fit.width, 6);
        expect(bottom).toBeCloseTo(fit.y + fit.height, 6);
      }),
    );
  });

  it('compose to the first followed by the second', () => {
    const placement = fc.record({
      scaleX: fc.double({ min: 0.01, max: 10, noNaN: true }),
      scaleY: fc.double({ min: 0.01, max: 10, noNaN: true }),
      offsetX: fc.integer({ min: -500, max: 500 }),
      offsetY: fc.integer({ min: -500, max: 500 }),
    });
    fc.assert(
      fc.property(placement, placement, fc.nat(4000), fc.nat(4000), (first, second, x, y) => {
        const [stepX, stepY] = apply(second, ...apply(first, x, y));
        const [onceX, onceY] = apply(composePlacements(first, second), x, y);
        expect(onceX).toBeCloseTo(stepX, 5);
        expect(onceY).toBeCloseTo(stepY, 5);
      }),
    );
  });
});

describe('fitOnTarget', () => {
  it('is the part of a cropped picture that the input shows, else all of it', () => {
    const target = { width: 224, height: 224 };
    expect(fitOnTarget({ width: 341, height: 256, x: -58, y: -16 }, target)).toEqual({ x: 0, y: 0, ...target });
    expect(fitOnTarget({ width: 224, height: 126, x: 0, y: 49 }, target)).toEqual({
      width: 224,
      height: 126,
      x: 0,
      y: 49,
    });
  });
});

describe('rowsToSource', () => {
  it('maps every box inside the picture back to its source', () => {
    const share = fc.double({ min: 0, max: 0.9, noNaN: true });
    fc.assert(
      fc.property(
        size(4000),
        size(1000),
        fc.constantFrom(...RULES),
        share,
        share,
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        (source, target, rule, left, top, part) => {
          const box = [
            left * source.width,
            top * source.height,
            (1 - left) * part * source.width,
            (1 - top) * part * source.height,
          ] as const;
          const placement = placementOf(source, fitInto(source, target, rule));
          const [x, y] = apply(placement, box[0], box[1]);
          const rows = Float32Array.of(x, y, box[2] * placement.scaleX, box[3] * placement.scaleY, 0.5, 7);
          expect(rowsToSource(rows, placement, source)).toBe(1);
          // The scale magnifies f32 errors: the tolerance is a millionth of the larger side, in source pixels.
          const tolerance =
            1e-5 *
            Math.max(
              source.width,
              source.height,
              (target.width + 1) / placement.scaleX,
              (target.height + 1) / placement.scaleY,
            );
          box.forEach((value, i) => {
            expect(Math.abs(rows[i]! - value)).toBeLessThanOrEqual(tolerance);
          });
          expect(rows[5]).toBe(7);
        },
      ),
    );
  });

  // 1920x1080 in 640x640, centred: scale 1/3, picture from row 140 to row 500.
  const source = { width: 1920, height: 1080 };
  const placement = placementOf(source, fitInto(source, { width: 640, height: 640 }, CENTER));

  it.each([
    ['inside', [100, 200, 30, 60], [300, 180, 90, 180]],
    ['over the left and top edge', [-10, 130, 30, 40], [0, 0, 60, 90]],
    ['over the right and bottom edge', [630, 490, 50, 50], [1890, 1050, 30, 30]],
    ['larger than the picture', [-100, -100, 1000, 1000], [0, 0, 1920, 1080]],
  ])('clips a box that lies %s', (_, box, expected) => {
    const rows = Float32Array.of(...box, 0.9, 3);
    expect(rowsToSource(rows, placement, source)).toBe(1);
    expected.forEach((value, i) => {
      expect(rows[i]).toBeCloseTo(value, 2);
    });
    expect(rows[4]).toBeCloseTo(0.9);
  });

  it('removes boxes in the border, without area or with NaN, and keeps the order of the rest', () => {
    const rows = Float32Array.of(
      ...[10, 10, 50, 50, 0.9, 1],
      ...[100, 200, 30, 60, 0.8, 2],
      ...[100, 200, 0, 60, 0.7, 3],
      ...[Number.NaN, 200, 30, 60, 0.6, 4],
      ...[640, 200, 30, 60, 0.5, 5],
      ...[0, 140, 3, 3, 0.4, 6],
    );
    expect(rowsToSource(rows, placement, source)).toBe(2);
    expect([rows[5], rows[11]]).toEqual([2, 6]);
  });
});
