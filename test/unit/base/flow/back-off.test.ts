import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackOff, backOffMs } from '../../../../src/base/flow/back-off.ts';

describe('BackOff', () => {
  it('doubles its bound from firstMs to maxMs, and waits between half and all of it', () => {
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.array(chance, { minLength: 1, maxLength: 60 }), (draws) => {
        let next = 0;
        const backOff = new BackOff({ firstMs: 200, maxMs: 5000, random: () => draws[next]! });
        let bound = 200;
        for (; next < draws.length; next++) {
          const waitMs = backOff.nextMs();
          expect(waitMs).toBeGreaterThanOrEqual(bound / 2);
          expect(waitMs).toBeLessThan(bound + 1e-9);
          bound = Math.min(5000, bound * 2);
        }
      }),
    );
  });

  it('gives two cameras that fail together different delays', () => {
    const waits = new Set(Array.from({ length: 20 }, () => new BackOff({ firstMs: 1000, maxMs: 1000 }).nextMs()));
    expect(waits.size).toBeGreaterThan(10);
  });

  it('restarts at firstMs after reset', () => {
    const backOff = new BackOff({ firstMs: 100, maxMs: 10_000, random: () => 0 });
    expect([backOff.nextMs(), backOff.nextMs(), backOff.nextMs()]).toEqual([50, 100, 200]);
    backOff.reset();
    expect(backOff.nextMs()).toBe(50);
  });
});

describe('backOffMs', () => {
  const limits = { firstMs: 500, maxMs: 3000 };

  it('doubles with each failure up to its limit', () => {
    expect([1, 2, 3, 4, 5, 5000].map((failures) => backOffMs(failures, limits, 1))).toEqual([
      500, 1000, 2000, 3000, 3000, 3000,
    ]);
  });

  it('is spread over its upper half', () => {
    expect([0, 0.5, 1].map((random) => backOffMs(2, limits, random))).toEqual([500, 750, 1000]);
  });
});
