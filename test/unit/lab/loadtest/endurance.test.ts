import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { type EnduranceSample, judgeSlopes } from '../../../../src/lab/loadtest/endurance.ts';

const MB = 2 ** 20;

/** Two minutes, a sample each second, with the noise of a garbage collector and a memory that fills at first. */
function samples(leak: { rssPerS?: number; descriptorsPerS?: number } = {}, seed = 1): EnduranceSample[] {
  const random = seededRandom(seed);
  return Array.from({ length: 120 }, (_, i) => ({
    atS: i + 1,
    rssBytes: (200 + 60 * (1 - Math.exp(-i / 8)) + 6 * random()) * MB + (leak.rssPerS ?? 0) * i,
    childRssBytes: (300 + 4 * random()) * MB,
    heapUsedBytes: (40 + 12 * random()) * MB,
    descriptors: 60 + Math.floor(3 * random()) + Math.floor((leak.descriptorsPerS ?? 0) * i),
    threads: 17,
    handles: 24 + Math.floor(3 * random()),
    p99Ms: 30 + 8 * random(),
  }));
}

function verdicts(of: readonly EnduranceSample[]): Record<string, string> {
  return Object.fromEntries(judgeSlopes(of).map(({ figure, verdict }) => [figure, verdict]));
}

describe('slopes of an endurance run', () => {
  it('noise and a memory that fills at first are steady, for each of 50 seeds', () => {
    for (let seed = 1; seed <= 50; seed++) expect(Object.values(verdicts(samples({}, seed)))).not.toContain('grows');
    expect(new Set(Object.values(verdicts(samples())))).toEqual(new Set(['steady']));
  });

  it('a leak of 1 MB a second is found in two minutes, and nothing else', () => {
    const found = verdicts(samples({ rssPerS: MB }));
    expect(found).toMatchObject({ rssBytes: 'grows', heapUsedBytes: 'steady', descriptors: 'steady' });
  });

  it('a leak of a descriptor every 5 seconds is found', () => {
    expect(verdicts(samples({ descriptorsPerS: 0.2 }))).toMatchObject({ descriptors: 'grows', rssBytes: 'steady' });
  });

  it('the interval holds the true slope', () => {
    const rss = judgeSlopes(samples({ rssPerS: MB })).find(({ figure }) => figure === 'rssBytes')!;
    expect(rss.interval[0]).toBeLessThan(3600 * MB);
    expect(rss.interval[1]).toBeGreaterThan(3600 * MB);
  });

  it('figures that the system does not report are left out, and so is everything in a run of seconds', () => {
    const without = samples().map((sample) => ({ ...sample, descriptors: null }));
    expect(judgeSlopes(without).map(({ figure }) => figure)).not.toContain('descriptors');
    expect(judgeSlopes(samples().slice(0, 5))).toEqual([]);
    expect(judgeSlopes([])).toEqual([]);
  });
});
