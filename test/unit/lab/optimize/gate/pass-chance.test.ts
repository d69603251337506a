import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import { levelFor } from '../../../../../src/lab/optimize/gate/loss-verdict.ts';
import { passChance, withPrior } from '../../../../../src/lab/optimize/gate/pass-chance.ts';

function normalFrom(seed: number): () => number {
  const random = seededRandom(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

describe('the confidence of several verdicts', () => {
  it('keeps the chance that any of them is wrong at that of one', () => {
    expect(levelFor(1)).toBe(0.975);
    expect(1 - levelFor(3)).toBeCloseTo(0.025 / 3);
    expect(() => levelFor(0)).toThrow('from 1');
    expect(() => levelFor(1.5)).toThrow('received 1.5');
  });
});

describe('the chance to pass on data that nobody has looked at', () => {
  it('is what a simulation of both parts gives', () => {
    const normal = normalFrom(5);
    const [units, heldOutUnits, scatter, allowed, z] = [25, 75, 0.17, 0.02, 2.394];
    // The estimate on the search part is -0.03. The true loss scatters around it as the estimate does around the truth.
    const standardError = scatter / Math.sqrt(units);
    const heldOutError = scatter / Math.sqrt(heldOutUnits);
    let passed = 0;
    const draws = 200_000;
    for (let draw = 0; draw < draws; draw++) {
      const truth = -0.03 + normal() * standardError;
      const estimate = truth + normal() * heldOutError;
      if (estimate + z * heldOutError <= allowed) passed += 1;
    }
    const chance = passChance([{ loss: -0.03, standardError, units, heldOutUnits }], allowed, levelFor(3));
    expect(chance).toBeCloseTo(passed / draws, 2);
  });

  const sure = { loss: 0.002, standardError: 0.001, units: 25, heldOutUnits: 75 };

  it('is nearly 1 for a number format of the same network, and nearly 0 for a clear loss', () => {
    expect(passChance([sure], 0.02, 0.99)).toBeGreaterThan(0.999);
    expect(passChance([{ ...sure, loss: 0.05 }], 0.02, 0.99)).toBeLessThan(0.001);
  });

  it('falls where two losses add up', () => {
    const half = { ...sure, loss: 0.011 };
    expect(passChance([half], 0.02, 0.99)).toBeGreaterThan(0.99);
    expect(passChance([half, half], 0.02, 0.99)).toBeLessThan(0.05);
  });

  it('grows with the held-out evidence', () => {
    const unsure = { loss: 0, standardError: 0.02, units: 25, heldOutUnits: 25 };
    expect(passChance([unsure], 0.02, 0.99)).toBeLessThan(passChance([{ ...unsure, heldOutUnits: 400 }], 0.02, 0.99));
  });

  it('is 1 where nothing changes, and 0 where the loss is not known', () => {
    expect(passChance([], 0.02, 0.99)).toBe(1);
    expect(passChance([{ ...sure, loss: Number.NaN }], 0.02, 0.99)).toBe(0);
    expect(passChance([{ ...sure, heldOutUnits: 0 }], 0.02, 0.99)).toBe(0);
    for (const unknown of [{ standardError: Number.POSITIVE_INFINITY }, { units: 0 }, { units: -1 }])
      expect(passChance([{ ...sure, ...unknown }], 0.02, 0.99)).toBe(0);
    const exact = (loss: number) => passChance([{ ...sure, loss, standardError: 0 }], 0.02, 0.99);
    expect([exact(0), exact(0.02), exact(0.021)]).toEqual([1, 1, 0]);
  });
});

describe('a loss of which something is known before', () => {
  it('is drawn to it, the more the less certain the estimate is', () => {
    const estimate = { loss: 0.016, standardError: 0.006, units: 25, heldOutUnits: 75 };
    const even = withPrior(estimate, 0.006);
    expect(even.loss).toBeCloseTo(0.008);
    expect(even.standardError).toBeCloseTo(0.006 / Math.SQRT2);
    // The verdict has as much evidence as before.
    expect(even.standardError * Math.sqrt(even.units / even.heldOutUnits)).toBeCloseTo(0.006 * Math.sqrt(25 / 75));
    expect(withPrior({ ...estimate, standardError: 0.06 }, 0.006).loss).toBeLessThan(0.0002);
    expect(withPrior({ ...estimate, standardError: 0.0001 }, 0.006).loss).toBeCloseTo(0.016, 4);
  });

  it('lets the own network in another format be measured where a few pictures look bad by chance', () => {
    const looksBad = { loss: 0.016, standardError: 0.01, units: 25, heldOutUnits: 75 };
    expect(passChance([looksBad], 0.02, levelFor(3))).toBeLessThan(0.25);
    expect(passChance([withPrior(looksBad, 0.006)], 0.02, levelFor(3))).toBeGreaterThan(0.5);
    // A large and certain loss is not talked away.
    expect(
      passChance([withPrior({ ...looksBad, loss: 0.1, standardError: 0.004 }, 0.006)], 0.02, levelFor(3)),
    ).toBeLessThan(0.01);
  });
});
