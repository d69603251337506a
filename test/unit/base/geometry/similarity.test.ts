import { describe, expect, it } from 'vitest';
import { type Point, similarityOf, spreadOf, unmapped } from '../../../../src/base/geometry/similarity.ts';

const POINTS: readonly Point[] = [
  [3, 4],
  [120, -7],
  [60, 88],
  [-20, 51],
];

/** The textbook order: scale, turn, shift. */
function moved([x, y]: Point, scale: number, radians: number, [shiftX, shiftY]: Point): Point {
  const [cos, sin] = [Math.cos(radians), Math.sin(radians)];
  return [scale * (x * cos - y * sin) + shiftX, scale * (x * sin + y * cos) + shiftY];
}

describe('a similarity of points', () => {
  it('is the turn, the scale and the shift that were applied to them, and has a way back', () => {
    for (const [scale, radians] of [
      [1, 0],
      [0.2, 0.7],
      [3, -2.9],
      [1.5, Math.PI],
    ] as const) {
      const to = POINTS.map((point) => moved(point, scale, radians, [31, -8]));
      const found = similarityOf(POINTS, to);
      expect(Math.hypot(found.a, found.b)).toBeCloseTo(scale, 9);
      expect(Math.cos(Math.atan2(found.b, found.a) - radians)).toBeCloseTo(1, 9);
      for (const [i, point] of POINTS.entries()) {
        const [x, y] = unmapped(found, to[i]!);
        expect(Math.hypot(x - point[0], y - point[1])).toBeCloseTo(0, 9);
      }
    }
  });

  it('has the least squares: every other one near it is farther from the points', () => {
    const to: readonly Point[] = [
      [1, 9],
      [70, 3],
      [31, 60],
      [-4, 22],
    ];
    const { a, b, shiftX, shiftY } = similarityOf(POINTS, to);
    const errorOf = ([p, q, u, v]: readonly number[]): number =>
      POINTS.reduce((sum, [x, y], i) => {
        const [dx, dy] = [p! * x - q! * y + u! - to[i]![0], q! * x + p! * y + v! - to[i]![1]];
        return sum + dx * dx + dy * dy;
      }, 0);
    const best = [a, b, shiftX, shiftY];
    for (const [i] of best.entries())
      for (const step of [-1e-3, 1e-3])
        expect(errorOf(best.map((value, at) => (at === i ? value + step : value)))).toBeGreaterThan(errorOf(best));
  });

  it('never mirrors: points of the other hand are turned as well as they can be', () => {
    const to = POINTS.map(([x, y]): Point => [-x, y]);
    const { a, b } = similarityOf(POINTS, to);
    // Their mirror image is not reached: the scale is below 1.
    expect(Math.hypot(a, b)).toBeLessThan(0.9);
  });

  it('does not exist for points in one place', () => {
    const same: readonly Point[] = [
      [5, 5],
      [5, 5],
    ];
    expect(spreadOf(same)).toBe(0);
    expect(Number.isFinite(similarityOf(same, POINTS.slice(0, 2)).a)).toBe(false);
  });
});
