import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isControlTurn, isMember, membersOf } from '../../../../../src/fleet/control/rollout/membership.ts';

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
    for (const name of ['gate', 'yard', 'camera-1']) {
      const seen = Array.from({ length: 1200 }, (_, s) => isControlTurn(name, s * 1000));
      const changes = seen.flatMap((isControl, i) => (i > 0 && isControl !== seen[i - 1] ? [i] : []));
      const turns = changes.slice(1).map((end, i) => end - changes[i]!);
      expect(new Set(turns), 'six seconds, or two turns of one side').toEqual(new Set([6, 12]));
      expect(Math.abs(seen.filter(Boolean).length - 600)).toBeLessThanOrEqual(6);
    }
    const names = Array.from({ length: 200 }, (_, i) => `camera-${i}`);
    const atOnce = names.filter((name) => isControlTurn(name, 1_700_000_000_000)).length;
    expect(Math.abs(atOnce - 100)).toBeLessThan(5 * Math.sqrt(50));
  });

  it('work that comes back at the same time of each minute meets both sides of every stream', () => {
    for (const name of ['gate', 'yard', 'camera-1']) {
      const minutes = Array.from({ length: 400 }, (_, minute) => isControlTurn(name, minute * 60_000));
      // Five standard deviations of a fair coin.
      expect(Math.abs(minutes.filter(Boolean).length - 200)).toBeLessThan(50);
    }
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
