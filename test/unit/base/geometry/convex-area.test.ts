import { describe, expect, it } from 'vitest';
import { cornersOf, isConvex, sharedConvexArea, signedArea } from '../../../../src/base/geometry/rotated-iou.ts';

describe('the corners of a turned box', () => {
  it('turn clockwise as a picture shows it', () => {
    // A quarter turn of a box of 4 x 2 about (2, 1): its top left corner (0, 0) goes to the top right, (3, -1).
    expect(cornersOf([0, 0, 4, 2], 90).map((value) => Math.round(value * 1e9) / 1e9)).toEqual([
      3, -1, 3, 3, 1, 3, 1, -1,
    ]);
  });

  it('go clockwise, so that their area is positive', () => {
    expect(signedArea(cornersOf([5, 5, 4, 2], 33))).toBeCloseTo(8, 12);
    expect(signedArea([0, 0, 0, 1, 1, 1, 1, 0])).toBe(-1);
  });
});

describe('the area that two convex polygons share', () => {
  const square = cornersOf([0, 0, 1, 1], 0);

  it.each([
    // Two unit squares with one centre, one turned by 45 degrees: a regular octagon of 2 (sqrt 2 - 1).
    ['a square turned by 45 degrees', cornersOf([0, 0, 1, 1], 45), 2 * (Math.SQRT2 - 1)],
    ['itself', square, 1],
    ['itself, the other way round', [0, 0, 0, 1, 1, 1, 1, 0], 1],
    ['one that it contains', cornersOf([0.25, 0.25, 0.5, 0.5], 45), 0.25],
    ['one that contains it', cornersOf([-5, -5, 11, 11], 20), 1],
    ['a half', cornersOf([0.5, -1, 3, 3], 0), 0.5],
    ['a triangle', [0, 0, 1, 0, 0, 1], 0.5],
    ['a neighbour that touches it', cornersOf([1, 0, 1, 1], 0), 0],
    ['one far away', cornersOf([7, 7, 1, 1], 10), 0],
    ['one without a width', cornersOf([0.5, 0, 0, 1], 0), 0],
  ])('a square and %s', (_, other, area) => {
    expect(sharedConvexArea(square, other)).toBeCloseTo(area, 12);
    expect(sharedConvexArea(other, square)).toBeCloseTo(area, 12);
  });

  it('keeps its digits far away from the origin', () => {
    const far = (corners: number[]) => corners.map((value) => value + 1e6);
    expect(sharedConvexArea(far(square), far(cornersOf([0, 0, 1, 1], 45)))).toBeCloseTo(2 * (Math.SQRT2 - 1), 8);
  });
});

it.each([
  ['a rectangle', cornersOf([0, 0, 4, 2], 30), true],
  ['a rectangle, the other way round', [0, 0, 0, 1, 1, 1, 1, 0], true],
  ['corners that cross', [0, 0, 1, 1, 1, 0, 0, 1], false],
  ['a dent', [0, 0, 4, 0, 1, 1, 0, 4], false],
  ['a line', [0, 0, 1, 1, 2, 2, 3, 3], false],
  ['two equal corners', [0, 0, 0, 0, 1, 1, 0, 1], false],
])('isConvex of %s', (_, corners, expected) => {
  expect(isConvex(corners)).toBe(expected);
});
