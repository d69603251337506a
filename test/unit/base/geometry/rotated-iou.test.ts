import { describe, expect, it } from 'vitest';
import { iouOriented, turnedCorners } from '../../../../src/base/geometry/rotated-iou.ts';

const row = (x: number, y: number, width: number, height: number, degrees: number): number[] => [
  ...[x, y, width, height, 0.9, 0, (degrees * Math.PI) / 180],
];
const iou = (a: number[], b: number[]): number => iouOriented(Float32Array.from([...a, ...b]), 0, 7);

describe('IoU of oriented boxes', () => {
  it.each<[string, number[], number[], number]>([
    ['a box and itself', row(10, 10, 40, 20, 30), row(10, 10, 40, 20, 30), 1],
    ['half a turn is the same box', row(10, 10, 40, 20, 30), row(10, 10, 40, 20, 210), 1],
    ['a quarter turn of exchanged sides is the same box', row(0, 10, 40, 20, 0), row(10, 0, 20, 40, 90), 1],
    ['upright boxes, as their intersection says', row(0, 0, 10, 10, 0), row(5, 0, 10, 10, 0), 50 / 150],
    // A cross: the square of 10 x 10 in the middle of two bars of 40 x 10.
    ['a cross', row(0, 15, 40, 10, 0), row(0, 15, 40, 10, 90), 100 / 700],
    // The octagon that a square and the same one turned by 45 degrees share: 2 * (sqrt(2) - 1) of its area.
    ['an octagon', row(0, 0, 10, 10, 0), row(0, 0, 10, 10, 45), (2 * Math.SQRT2 - 2) / (2 - (2 * Math.SQRT2 - 2))],
    ['boxes whose circles meet, but which do not', row(0, 0, 40, 4, 45), row(28, -16, 40, 4, 45), 0],
    ['boxes far apart', row(0, 0, 10, 10, 20), row(100, 0, 10, 10, 20), 0],
  ])('%s', (_, a, b, expected) => {
    expect(iou(a, b)).toBeCloseTo(expected, 4);
    expect(iou(b, a)).toBeCloseTo(expected, 4);
  });

  it('turns corners clockwise, as y grows downwards', () => {
    const corners = turnedCorners([0, 0, 10, 4], Math.PI / 2).map((corner) => corner.map((px) => Math.round(px)));
    expect(corners).toEqual([
      [7, -3],
      [7, 7],
      [3, 7],
      [3, -3],
    ]);
  });
});
