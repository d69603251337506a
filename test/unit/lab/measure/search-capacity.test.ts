import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import {
  type AttemptOutcome,
  type CapacitySearchOptions,
  outcomeOf,
  searchCapacity,
} from '../../../../src/lab/measure/search-capacity.ts';
import type { TargetVerdict } from '../../../../src/lab/measure/trial-result.ts';

interface Try {
  readonly cameras: number;
  readonly isProof: boolean;
}

/** Searches with outcomes that depend on the number of cameras and on how often it was tried before. */
async function search(
  outcome: (cameras: number, before: number, isProof: boolean) => AttemptOutcome,
  changes: Partial<CapacitySearchOptions> = {},
) {
  const tries: Try[] = [];
  const found = await searchCapacity(
    async (cameras, isProof) => {
      const before = tries.filter((other) => other.cameras === cameras).length;
      tries.push({ cameras, isProof });
      return outcome(cameras, before, isProof);
    },
    { start: 1, most: 256, growth: 2, undecidedIs: 'failed', signal: new AbortController().signal, ...changes },
  );
  const triesOf = (cameras: number): Try[] => tries.filter((other) => other.cameras === cameras);
  return { ...found, tries, triesOf };
}

const upTo =
  (capacity: number) =>
  (cameras: number): AttemptOutcome =>
    cameras <= capacity ? 'held' : 'failed';

describe('the search for a capacity', () => {
  it('finds the exact number from any start, at any growth', async () => {
    for (const capacity of [1, 2, 3, 7, 8, 9, 31, 100])
      for (const start of [1, 5, 64])
        for (const growth of [1.5, 2]) {
          const found = await search(upTo(capacity), { start, growth });
          expect(found, `${capacity} from ${start}`).toMatchObject({
            cameras: capacity,
            brokenAt: capacity + 1,
            isProven: true,
          });
        }
  });

  it('proves both sides of the break twice, and no other number', async () => {
    const { tries, triesOf } = await search(upTo(100));
    expect(triesOf(100)).toHaveLength(2);
    expect(triesOf(101)).toHaveLength(2);
    expect(new Set(tries.map(({ cameras }) => cameras)).size).toBe(tries.length - 2);
    expect(tries.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(101)) + 3);
  });

  it('first looks guide, and only proofs decide', async () => {
    // A first look is too short to decide anything.
    const found = await search((cameras, _, isProof) =>
      isProof ? upTo(12)(cameras) : { leansTo: cameras <= 12 ? 'held' : 'failed' },
    );
    expect(found).toMatchObject({ cameras: 12, brokenAt: 13, isProven: true });
    expect(found.triesOf(12).map(({ isProof }) => isProof)).toEqual([false, true, true]);
    expect(found.triesOf(13).map(({ isProof }) => isProof)).toEqual([false, true, true]);
  });

  it.each([
    ['fails once by a disturbance', 'failed', 12],
    ['holds once by luck', 'held', 13],
  ] as const)('a number that %s is tried a third time', async (_, wrong, at) => {
    for (const when of [0, 1]) {
      const found = await search((cameras, before) => (cameras === at && before === when ? wrong : upTo(12)(cameras)));
      expect(found, `attempt ${when}`).toMatchObject({ cameras: 12, brokenAt: 13, isProven: true });
      expect(found.triesOf(at)).toHaveLength(3);
    }
  });

  it('a number far below the break that fails once does not hide the rest', async () => {
    const found = await search((cameras, before) => (cameras === 4 && before === 0 ? 'failed' : upTo(50)(cameras)));
    expect(found).toMatchObject({ cameras: 50, brokenAt: 51 });
  });

  it('first looks that promised too much are taken back', async () => {
    const found = await search((cameras, _, isProof) => (isProof ? upTo(9)(cameras) : { leansTo: 'held' }), {
      most: 64,
    });
    expect(found).toMatchObject({ cameras: 9, brokenAt: 10, isProven: true });
  });

  it('finds the exact number in nine of ten searches although one attempt of twenty is disturbed', async () => {
    let exact = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const random = seededRandom(seed);
      const { cameras } = await search((count) => (random() < 0.05 ? 'failed' : upTo(20)(count)));
      expect(cameras, `seed ${seed}`).toBeLessThanOrEqual(20);
      if (cameras === 20) exact += 1;
    }
    expect(exact).toBeGreaterThanOrEqual(90);
  });

  it('is 0 where not even one holds, and says where the most cameras hold', async () => {
    expect(await search(upTo(0), { start: 4 })).toMatchObject({ cameras: 0, brokenAt: 1, isProven: false });
    expect(await search(upTo(1000), { most: 24 })).toMatchObject({ cameras: 24, brokenAt: null, isProven: true });
  });

  it('what no proof decides has failed, and the search ends', async () => {
    const found = await search(() => ({ leansTo: 'held' }));
    expect(found).toMatchObject({ cameras: 0, brokenAt: 1, isProven: false });
    expect(found.tries.length).toBeLessThan(40);
    const some = await search((cameras) => (cameras <= 6 ? 'held' : { leansTo: 'held' }));
    expect(some).toMatchObject({ cameras: 6, brokenAt: 7, isProven: true });
  });

  it('or stays open: the largest number that does not look as if it failed, not proven', async () => {
    const found = await search((cameras) => ({ leansTo: cameras <= 6 ? 'held' : 'failed' }), { undecidedIs: 'open' });
    expect(found).toMatchObject({ cameras: 6, brokenAt: 7, isProven: false });
  });

  it('ends when its time is over, with what it knows and without a claim, though the machine gets slower all the time', async () => {
    let attempts = 0;
    const slower = () =>
      search((cameras) => (cameras <= 40 - attempts++ ? 'held' : 'failed'), { isOver: () => attempts >= 12 });
    const { cameras, isProven, tries } = await slower();
    expect(tries).toHaveLength(12);
    expect(isProven).toBe(false);
    expect(cameras).toBeLessThanOrEqual(40);
    // The first attempt is always made.
    expect(await search(upTo(9), { start: 4, isOver: () => true })).toMatchObject({
      cameras: 4,
      brokenAt: null,
      isProven: false,
    });
    expect(await search(upTo(2), { start: 4, isOver: () => true })).toMatchObject({
      cameras: 0,
      brokenAt: 4,
      isProven: false,
    });
  });

  it('ends when it is aborted, and refuses a range that is none', async () => {
    const stop = new AbortController();
    const running = search(
      (cameras) => {
        if (cameras === 4) stop.abort();
        return 'held';
      },
      { signal: stop.signal },
    );
    await expect(running).rejects.toThrow('aborted');
    await expect(search(upTo(3), { start: 0 })).rejects.toThrow(RangeError);
    await expect(search(upTo(3), { start: 9, most: 8 })).rejects.toThrow(RangeError);
    await expect(search(upTo(3), { growth: 1 })).rejects.toThrow(RangeError);
  });
});

describe('what targets say of an attempt', () => {
  const verdict = (state: TargetVerdict['state'], gap: number | null = 0.1, target = 'p99<=50ms'): TargetVerdict => ({
    target,
    measured: 1,
    state,
    reason: '',
    gap,
  });

  it('held if all are met, failed if one is missed', () => {
    expect(outcomeOf([verdict('met'), verdict('met')])).toBe('held');
    expect(outcomeOf([verdict('met'), verdict('not enough frames'), verdict('missed')])).toBe('failed');
  });

  it('leans to what the figures look like if nothing is decided; a figure that is missing is no good sign', () => {
    expect(outcomeOf([verdict('met'), verdict('not enough frames', 0.3)])).toEqual({ leansTo: 'held' });
    expect(outcomeOf([verdict('met', 0.3), verdict('not enough frames', -0.1)])).toEqual({ leansTo: 'failed' });
    expect(outcomeOf([verdict('not enough frames', null)])).toEqual({ leansTo: 'failed' });
  });

  it('a target for the number of cameras does not end the search below it', () => {
    expect(outcomeOf([verdict('met'), verdict('missed', -0.5, 'streams>=8')])).toBe('held');
  });
});
