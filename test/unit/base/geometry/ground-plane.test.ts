import { describe, expect, it } from 'vitest';
import { groundPlane, isConvex } from '../../../../src/base/geometry/ground-plane.ts';

describe('groundPlane', () => {
  const trapezium = [
    [0.1, 0.9],
    [0.9, 0.9],
    [0.6, 0.3],
    [0.4, 0.3],
  ] as const;

  it('puts the corners where they are on the ground', () => {
    const plane = groundPlane(trapezium, [8, 30]);
    const places = trapezium.map(([x, y]) => plane(x, y)!.map((value) => Math.round(value * 1e6) / 1e6 + 0));
    expect(places).toEqual([
      [0, 0],
      [8, 0],
      [8, 30],
      [0, 30],
    ]);
  });

  it('puts the crossing of the diagonals in the middle, nearer to the far side of the picture', () => {
    const plane = groundPlane(trapezium, [8, 30]);
    // The diagonals of the trapezium cross at x = 0.5, y = 0.3 + 0.6 * 0.2 / (0.2 + 0.8).
    const [x, y] = plane(0.5, 0.42)!;
    expect(x).toBeCloseTo(4, 6);
    expect(y).toBeCloseTo(15, 6);
  });

  it('has no place for what is above the horizon', () => {
    // The sides of the trapezium meet at y = 0.1.
    const plane = groundPlane(trapezium, [8, 30]);
    expect(plane(0.5, 0.11)).not.toBeNull();
    expect(plane(0.5, 0.05)).toBeNull();
  });

  it('takes a parallelogram, which has no vanishing point', () => {
    const plane = groundPlane(
      [
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 1],
      ],
      [20, 10],
    );
    expect(plane(0.25, 0.5)).toEqual([5, 5]);
  });
});

it('isConvex refuses corners out of order, and those on a line', () => {
  expect(
    isConvex([
      [0, 0],
      [1, 0],
      [1, 1],
      [0, 1],
    ]),
  ).toBe(true);
  expect(
    isConvex([
      [0, 1],
      [1, 1],
      [1, 0],
      [0, 0],
    ]),
  ).toBe(true);
  expect(
    isConvex([
      [0, 0],
      [1, 1],
      [1, 0],
      [0, 1],
    ]),
  ).toBe(false);
  expect(
    isConvex([
      [0, 0],
      [0.5, 0],
      [1, 0],
      [0, 1],
    ]),
  ).toBe(false);
});
