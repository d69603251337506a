import { describe, expect, it } from 'vitest';
import { SeeingLedger, type SeeingSpan } from '../../../../src/after/events/seeing-ledger.ts';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import type { BlindReason } from '../../../../src/wire/protocol/blind-reasons.ts';

/** Results ten times a second from one moment to another, both included. */
function watch(ledger: SeeingLedger, fromMs: number, toMs: number): void {
  for (let ms = fromMs; ms <= toMs; ms += 100) ledger.onResult(ms);
}

describe('SeeingLedger', () => {
  it('counts the time until the first result as down, and then what is watched', () => {
    const ledger = new SeeingLedger(0);
    watch(ledger, 3000, 10_000);
    expect(ledger.report(10_000)).toEqual({ totalMs: 10_000, watchedMs: 7000, blindMs: { down: 3000 } });
  });

  it('counts a gap in which frames came as shed, another one as down, and a short one as watched', () => {
    const ledger = new SeeingLedger(0);
    watch(ledger, 0, 1000);
    watch(ledger, 2500, 3000);
    for (let ms = 3500; ms < 8000; ms += 1000) ledger.onState(null, null, ms, ms);
    watch(ledger, 8000, 9000);
    ledger.onState(null, null, 9500, 9000);
    for (let ms = 10_500; ms < 15_000; ms += 1000) ledger.onState(null, null, ms, 9000);
    expect(ledger.report(14_500).blindMs).toEqual({ shed: 5000, down: 5500 });
    watch(ledger, 15_000, 16_000);
    expect(ledger.report(16_000)).toEqual({ totalMs: 16_000, watchedMs: 5000, blindMs: { shed: 5000, down: 6000 } });
  });

  it('stops when the recording is over', () => {
    const ledger = new SeeingLedger(0);
    watch(ledger, 0, 3000);
    ledger.end(3500);
    ledger.end(9000);
    expect(ledger.report(60_000)).toEqual({ totalMs: 3500, watchedMs: 3500, blindMs: {} });
  });

  it('counts a pause and a lost connection from the last result that was to be expected', () => {
    const ledger = new SeeingLedger(0);
    watch(ledger, 0, 1000);
    ledger.onState('down', null, 5000);
    ledger.onState('down', null, 20_000);
    watch(ledger, 21_000, 22_000);
    ledger.onState('paused', null, 22_100);
    ledger.onState('paused', null, 30_000);
    expect(ledger.report(30_000)).toEqual({
      totalMs: 30_000,
      watchedMs: 1000 + 2000 + 1000 + 100,
      blindMs: { down: 18_000, paused: 7900 },
    });
  });

  it('counts a black picture as blind, although results come', () => {
    const ledger = new SeeingLedger(0);
    watch(ledger, 0, 5000);
    ledger.onState(null, 'black', 5000);
    watch(ledger, 5100, 9000);
    ledger.onState(null, null, 9000);
    watch(ledger, 9100, 10_000);
    expect(ledger.report(10_000)).toEqual({ totalMs: 10_000, watchedMs: 6000, blindMs: { black: 4000 } });
  });

  it('does not call a slow camera blind between its frames', () => {
    const ledger = new SeeingLedger(0);
    for (let ms = 0; ms <= 60_000; ms += 1500) ledger.onResult(ms);
    for (let ms = 60_000; ms <= 120_000; ms += 4000) ledger.onResult(ms);
    expect(ledger.report(120_000)).toEqual({ totalMs: 120_000, watchedMs: 120_000, blindMs: {} });
  });

  it('says how long it was blind in the minute before', () => {
    const ledger = new SeeingLedger(0);
    watch(ledger, 0, 10_000);
    watch(ledger, 13_000, 20_000);
    expect(ledger.before(20_000)).toEqual({ seconds: 3, reason: 'down' });
    watch(ledger, 20_100, 90_000);
    expect(ledger.before(90_000)).toBeNull();
  });

  it('accounts for all time, at any moment, whatever happens', () => {
    const reasons: (BlindReason | null)[] = [null, null, null, 'down', 'paused'];
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed);
      const ledger = new SeeingLedger(500);
      let nowMs = 500;
      const taken: SeeingSpan[] = [];
      for (let step = 0; step < 200; step++) {
        nowMs += Math.floor(random() ** 4 * 20_000);
        const trouble = reasons[Math.floor(random() * reasons.length)]!;
        if (random() < 0.6) ledger.onResult(nowMs);
        else ledger.onState(trouble, random() < 0.2 ? 'frozen' : null, nowMs);
        const { totalMs, watchedMs, blindMs } = ledger.report(nowMs);
        const blind = Object.values(blindMs).reduce((sum, ms) => sum + ms, 0);
        expect(totalMs).toBe(nowMs - 500);
        expect(watchedMs + blind).toBeCloseTo(totalMs, 3);
        if (random() < 0.2) taken.push(...ledger.take());
      }
      ledger.end(nowMs);
      taken.push(...ledger.take());
      expect(taken[0]!.fromMs).toBe(500);
      expect(taken.slice(1).map(({ fromMs }) => fromMs)).toEqual(taken.slice(0, -1).map(({ toMs }) => toMs));
      const { watchedMs, blindMs } = ledger.report(nowMs);
      const msOf = (reason: string | null): number =>
        taken.filter((span) => span.reason === reason).reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
      expect(msOf(null)).toBeCloseTo(watchedMs, 3);
      for (const [reason, ms] of Object.entries(blindMs)) expect(msOf(reason)).toBeCloseTo(ms, 3);
    }
  });
});
