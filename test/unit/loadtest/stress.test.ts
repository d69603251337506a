import { describe, expect, it } from 'vitest';
import type { LoadStep } from '../../../src/loadtest/load-result.ts';
import {
  describeDegradation,
  findBreakPoint,
  type RecoveryWindow,
  recoveryTime,
} from '../../../src/loadtest/stress.ts';
import { sampleStep } from '../../support/sample-load.ts';

/** A pipeline that holds up to `capacity` cameras. */
async function search(capacity: number, start: number, most: number) {
  const measured: number[] = [];
  const found = await findBreakPoint(
    async (cameras): Promise<LoadStep> => {
      measured.push(cameras);
      const verdict = cameras <= capacity ? 'met' : 'missed';
      return sampleStep({
        cameras,
        verdict,
        targets: [{ target: 'p99<=50ms', measured: 1, reason: '', gap: 0, state: verdict }],
      });
    },
    { start, most, signal: new AbortController().signal, note: () => undefined },
  );
  return { ...found, measured };
}

describe('the search for the break point', () => {
  it.each([1, 2, 3, 7, 10, 33, 64, 99])('finds the exact capacity of %d cameras', async (capacity) => {
    const { breakPoint } = await search(capacity, 1, 256);
    expect(breakPoint).toMatchObject({ cameras: capacity, brokenAt: capacity + 1, target: 'p99<=50ms' });
    expect(breakPoint.firstToGive).toBe('infer');
  });

  it('starts where it is told to, and looks below if that is too much', async () => {
    const { breakPoint, measured } = await search(5, 12, 256);
    expect(measured[0]).toBe(12);
    expect(breakPoint).toMatchObject({ cameras: 5, brokenAt: 6 });
  });

  it('a disturbance that passes is not taken for the break point', async () => {
    let calls = 0;
    const options = { start: 1, most: 64, signal: new AbortController().signal, note: () => undefined };
    const found = await findBreakPoint(async (cameras): Promise<LoadStep> => {
      calls += 1;
      // Every third step is disturbed.
      return sampleStep({ cameras, verdict: cameras > 20 || calls % 3 === 0 ? 'missed' : 'met' });
    }, options);
    expect(found.breakPoint).toMatchObject({ cameras: 20, brokenAt: 21 });
  });

  it('finds 0 if not even one camera holds', async () => {
    expect((await search(0, 1, 256)).breakPoint).toMatchObject({ cameras: 0, brokenAt: 1 });
  });

  it('stops at the most cameras, without a break', async () => {
    const { breakPoint, measured } = await search(1_000, 1, 20);
    expect(breakPoint).toEqual({ cameras: 20, brokenAt: null, firstToGive: null, target: null, explanation: null });
    expect(Math.max(...measured)).toBe(20);
  });

  it('a step with too few frames counts as held', async () => {
    const step = sampleStep({ verdict: 'not enough frames' });
    const options = { start: 1, most: 4, signal: new AbortController().signal, note: () => undefined };
    const found = await findBreakPoint(async (cameras) => ({ ...step, cameras }), options);
    expect(found.breakPoint.cameras).toBe(4);
  });
});

describe('recovery', () => {
  const limits = { p90Ms: 100, windows: 2 };
  const window = (endS: number, changes: Partial<RecoveryWindow> = {}): RecoveryWindow => ({
    ...{ endS, published: 10, dropped: 0, p90Ms: 20 },
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
    expect(recoveryTime([window(0.5), window(1), window(1.5, { published: 0 })], limits)).toBeNull();
    expect(recoveryTime([], limits)).toBeNull();
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
    expect(describeDegradation({ ...step, conservationGap: 1 }, 500).areDropsNamed).toBe(false);
  });
});
