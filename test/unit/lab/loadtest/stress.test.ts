import { describe, expect, it } from 'vitest';
import type { LoadStep } from '../../../../src/lab/loadtest/load-result.ts';
import {
  describeDegradation,
  findBreakPoint,
  type RecoveryWindow,
  recoveryTime,
} from '../../../../src/lab/loadtest/stress.ts';
import type { TargetVerdict } from '../../../../src/lab/measure/trial-result.ts';
import { sampleStep } from '../../../support/sample-load.ts';

function verdict(state: TargetVerdict['state'], gap = 0.1): TargetVerdict {
  return { target: 'p99<=50ms', measured: 1, reason: '', gap, state };
}

type Measured = readonly [state: TargetVerdict['state'], gap?: number];

/** Searches on a pipeline whose targets come out so. */
async function search(
  measured: (cameras: number, before: number, isProof: boolean) => Measured,
  { start = 1, most = 256 } = {},
) {
  const tried: number[] = [];
  const found = await findBreakPoint(
    async (cameras, name, isProof): Promise<LoadStep> => {
      const before = tried.filter((other) => other === cameras).length;
      tried.push(cameras);
      const [state, gap] = measured(cameras, before, isProof);
      return sampleStep({ name, cameras, verdict: state, targets: [verdict(state, gap)], seconds: isProof ? 40 : 10 });
    },
    { start, most, signal: new AbortController().signal, note: () => undefined },
  );
  return { ...found, tried };
}

const upTo =
  (capacity: number) =>
  (cameras: number): Measured =>
    cameras <= capacity ? ['met'] : ['missed', -1];

describe('the search for the break point', () => {
  it.each([1, 2, 3, 7, 10, 33, 64, 99])('finds the exact capacity of %d cameras', async (capacity) => {
    const { breakPoint, proof } = await search(upTo(capacity));
    expect(breakPoint).toMatchObject({
      cameras: capacity,
      brokenAt: capacity + 1,
      target: 'p99<=50ms',
      isProven: true,
    });
    expect(breakPoint.firstToGive).toBe('infer');
    expect(proof).toMatchObject({ cameras: capacity, verdict: 'met' });
  });

  it('starts where it is told to, and looks below if that is too much', async () => {
    const { breakPoint, tried } = await search(upTo(5), { start: 12 });
    expect(tried[0]).toBe(12);
    expect(breakPoint).toMatchObject({ cameras: 5, brokenAt: 6 });
  });

  it('neither a disturbance nor luck is taken for the break point: every number is tried again, held or failed', async () => {
    for (const [at, wrong] of [
      [20, 'missed'],
      [21, 'met'],
    ] as const) {
      const { breakPoint, tried, steps } = await search((cameras, before) =>
        cameras === at && before === 0 ? [wrong] : upTo(20)(cameras),
      );
      expect(breakPoint).toMatchObject({ cameras: 20, brokenAt: 21, isProven: true });
      for (const number of [20, 21])
        expect(tried.filter((other) => other === number)).toHaveLength(number === at ? 3 : 2);
      expect(steps.filter(({ cameras }) => cameras === at).map(({ name }) => name)).toEqual([
        ...[`${at} cameras`, `${at} cameras, run 2`, `${at} cameras, run 3`],
      ]);
    }
  });

  it('finds 0 if not even one camera holds', async () => {
    const { breakPoint, proof } = await search(upTo(0));
    expect(breakPoint).toMatchObject({ cameras: 0, brokenAt: 1, isProven: false });
    expect(proof).toMatchObject({ cameras: 1, verdict: 'missed' });
  });

  it('stops at the most cameras, without a break', async () => {
    const { breakPoint, tried } = await search(upTo(1_000), { most: 20 });
    expect(breakPoint).toEqual({
      cameras: 20,
      brokenAt: null,
      firstToGive: null,
      target: null,
      explanation: null,
      isProven: true,
    });
    expect(Math.max(...tried)).toBe(20);
  });

  it('steps that are too short to prove it still find where it breaks, and say that it is not proven', async () => {
    const { breakPoint, proof } = await search((cameras) => ['not enough frames', cameras <= 9 ? 0.2 : -0.2]);
    expect(breakPoint).toMatchObject({ cameras: 9, brokenAt: 10, isProven: false, target: 'p99<=50ms' });
    // The longest step.
    expect(proof).toMatchObject({ cameras: 9, verdict: 'not enough frames', seconds: 40 });
  });
});

describe('recovery', () => {
  const limits = { p90Ms: 100, windows: 2 };
  const window = (endS: number, changes: Partial<RecoveryWindow> = {}): RecoveryWindow => ({
    endS,
    published: [10, 10],
    dropped: 0,
    p90Ms: 20,
    ...changes,
  });

  it('ends with the last window that was not within the limits', () => {
    const windows = [window(0.5, { dropped: 3 }), window(1), window(1.5, { p90Ms: 101 }), window(2), window(2.5)];
    expect(recoveryTime(windows, limits)).toBe(1.5);
  });

  it('takes no time if nothing was beyond the limits', () => {
    expect(recoveryTime([window(0.5), window(1)], limits)).toBe(0);
  });

  it('is not there yet with too few good windows at the end, or with windows without frames', () => {
    expect(recoveryTime([window(0.5, { dropped: 1 }), window(1)], limits)).toBeNull();
    expect(recoveryTime([window(0.5), window(1), window(1.5, { published: [0, 0] })], limits)).toBeNull();
    expect(recoveryTime([], limits)).toBeNull();
  });

  it('is not there while one of many streams publishes nothing; a slow one that does now and then is there', () => {
    const silent = { published: [10, 0, 10] };
    expect(recoveryTime([window(0.5, silent), window(1, silent)], limits)).toBeNull();
    expect(recoveryTime([window(0.5, silent), window(1, { published: [10, 1, 10] })], limits)).toBe(0);
  });
});

describe('degradation', () => {
  const step = sampleStep({ oldestMs: 600, fairness: 0.99, conservationGap: 0, dropped: { stale: 3 } });

  it('is graceful if ages are bounded, shares fair and drops named', () => {
    expect(describeDegradation(step, 500)).toMatchObject({ areAgesBounded: true, isFair: true, areDropsNamed: true });
  });

  it('names what is not: old results, a starved stream, frames that are missing', () => {
    expect(describeDegradation({ ...step, oldestMs: 3_000 }, 500).areAgesBounded).toBe(false);
    expect(describeDegradation({ ...step, fairness: 0.5 }, 500).isFair).toBe(false);
    // One of 40 starves: Jain's index is 39 / 40.
    const share = (i: number, of: number) => ({
      id: `c${i}`,
      offered: 100,
      published: of * 100,
      share: of,
      latencyMs: step.latencyMs,
      dropped: 0,
    });
    const shares = Array.from({ length: 40 }, (_, i) => share(i, i === 7 ? 0 : 0.5));
    expect(describeDegradation({ ...step, fairness: 39 / 40, shares }, 500)).toMatchObject({
      isFair: false,
      leastShare: 0,
    });
    const even = shares.map((_, i) => share(i, 0.4 + 0.005 * (i % 40)));
    expect(describeDegradation({ ...step, fairness: 0.99, shares: even }, 500).isFair).toBe(true);
    expect(describeDegradation({ ...step, conservationGap: 1 }, 500).areDropsNamed).toBe(false);
  });
});
