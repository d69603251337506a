import { expect, it } from 'vitest';
import { KEYPOINT_SIGMAS, keypointSimilarity } from '../../../../src/base/geometry/keypoint-similarity.ts';

/** 17 points at one place. @param visible - numbers of those that are labelled */
function points(x: number, y: number, visible: readonly number[]): number[] {
  return Array.from({ length: 17 }, (_, i) => [x, y, visible.includes(i) ? 2 : 0]).flat();
}

it('is exp(-1/2) for a labelled point that is off by twice its sigma times the root of the area', () => {
  const far = 2 * KEYPOINT_SIGMAS[0]! * 10;
  expect(keypointSimilarity(points(far, 0, []), points(0, 0, [0]), 100, [0, 0, 10, 10])).toBeCloseTo(
    Math.exp(-0.5),
    12,
  );
});

it('is the mean over labelled points only, each with its own sigma', () => {
  const found = points(0, 0, []);
  found.splice(0, 2, 1000, 1000);
  expect(keypointSimilarity(found, points(0, 0, [0, 16]), 100, [0, 0, 10, 10])).toBeCloseTo(0.5, 12);
  expect(keypointSimilarity(found, points(0, 0, [5, 16]), 100, [0, 0, 10, 10])).toBe(1);
});

it('without a labelled point is 1 within the box enlarged by its size on each side', () => {
  const to = (x: number, y: number) => keypointSimilarity(points(x, y, []), points(0, 0, []), 100, [0, 0, 10, 10]);
  expect(to(-10, 20)).toBe(1);
  expect(to(19, -9)).toBe(1);
  // Two pixels beyond it: the mean over all points of exp(-4 / (8 sigma² 100)).
  const mean = KEYPOINT_SIGMAS.reduce((sum, sigma) => sum + Math.exp(-4 / (8 * sigma ** 2 * 100)), 0) / 17;
  expect(to(22, 5)).toBeCloseTo(mean, 12);
  expect(to(-12, 5)).toBeCloseTo(mean, 12);
});

it.each([1, 5, 21])('compares skeletons of %d points, too', (count) => {
  const at = (x: number): number[] => Array.from({ length: count }, () => [x, 5, 2]).flat();
  expect(keypointSimilarity(at(5), at(5), 100, [0, 0, 10, 10])).toBe(1);
  const near = keypointSimilarity(at(6), at(5), 100, [0, 0, 10, 10]);
  expect(near).toBeGreaterThan(0);
  expect(near).toBeLessThan(1);
});
