import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isControlTurn, isMember, membersOf } from '../../../../src/control/rollout/membership.ts';

describe('membership', () => {
  // printf NAME | sha256sum | cut -c1-12, as a share of 16^12.
  it.each([
    ['gate', 78.693970934],
    ['yard', 48.005245798],
    ['camera-1', 42.173691137],
  ])('the place of %s is that of its sha256 from another program, %d %%', (name, place) => {
    expect(isMember(name, place + 1e-8)).toBe(true);
    expect(isMember(name, place - 1e-8)).toBe(false);
  });

  it('the control has its turn half of the time, in one piece of each period, at different times on different streams', () => {
    const turns = (name: string): boolean[] => Array.from({ length: 120 }, (_, s) => isControlTurn(name, s * 1000));
    for (const name of ['gate', 'yard', 'camera-1']) {
      const seen = turns(name);
      expect(seen.filter(Boolean)).toHaveLength(60);
      const changes = seen.filter((isControl, i) => i > 0 && isControl !== seen[i - 1]).length;
      expect(changes).toBeGreaterThanOrEqual(19);
      expect(changes).toBeLessThanOrEqual(20);
    }
    const names = Array.from({ length: 200 }, (_, i) => `camera-${i}`);
    const atOnce = names.filter((name) => isControlTurn(name, 1_700_000_000_000)).length;
    expect(Math.abs(atOnce - 100)).toBeLessThan(5 * Math.sqrt(50));
  });

  it('nobody is in at 0 %, and everybody at 100 %', () => {
    expect(isMember('any', 100)).toBe(true);
    expect(isMember('any', 0)).toBe(false);
  });

  it('a stream that is in stays in as the share grows', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100 }), (name, a, b) => {
        if (isMember(name, Math.min(a, b))) expect(isMember(name, Math.max(a, b))).toBe(true);
      }),
    );
  });

  it.each([1, 10, 50])('at %i % of 10 000 similar names about that many are in', (share) => {
    const names = Array.from({ length: 10_000 }, (_, i) => `camera-${i}`);
    const expected = 100 * share;
    // Five standard deviations of a binomial count.
    const slack = 5 * Math.sqrt(10_000 * (share / 100) * (1 - share / 100));
    expect(Math.abs(membersOf(names, share).length - expected)).toBeLessThan(slack);
  });
});
