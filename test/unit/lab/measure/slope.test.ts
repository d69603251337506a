import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { estimateSlope, slope } from '../../../../src/lab/measure/slope.ts';

describe('a slope', () => {
  it('of points on a line is that of the line', () => {
    const points = Array.from({ length: 40 }, (_, i) => [i, 3 + 2 * i] as const);
    expect(slope(points)).toBeCloseTo(2, 12);
    const estimate = estimateSlope(points)!;
    expect(estimate.perS).toBeCloseTo(2, 12);
    expect(estimate.interval[0]).toBeCloseTo(2, 9);
    expect(estimate).toMatchObject({ spanS: 39, mean: 42 });
  });

  it('agrees with a worked example: x 1 to 6, y 2 1 4 3 6 5 has slope 29/35 and interval +- 2.776 x 0.280', () => {
    // Sxx = 17.5, Sxy = 14.5, Syy = 17.5; residuals 17.5 - 14.5^2 / 17.5 = 5.4857; s = sqrt(5.4857 / 4) = 1.1711.
    const points = [2, 1, 4, 3, 6, 5].map((y, i) => [i + 1, y] as const);
    const { perS, interval } = estimateSlope(points)!;
    expect(perS).toBeCloseTo(29 / 35, 10);
    expect(interval[1] - perS).toBeCloseTo(2.7764 * (1.17108 / Math.sqrt(17.5)), 3);
  });

  it('has an interval that holds the true slope in about 95 % of 500 simulated runs', () => {
    const random = seededRandom(11);
    let held = 0;
    for (let run = 0; run < 500; run++) {
      const points = Array.from({ length: 200 }, (_, i) => {
        const noise = random() + random() + random() + random() - 2;
        return [i, 0.01 * i + noise] as const;
      });
      const { interval } = estimateSlope(points)!;
      if (interval[0] <= 0.01 && interval[1] >= 0.01) held += 1;
    }
    expect(held).toBeGreaterThan(460);
    expect(held).toBeLessThan(490);
  });

  it('is not estimated from fewer than six values', () => {
    expect(
      estimateSlope([
        [0, 1],
        [1, 2],
        [2, 3],
        [3, 4],
        [4, 5],
      ]),
    ).toBeNull();
  });
});
