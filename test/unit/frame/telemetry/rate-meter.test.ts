import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RateMeter } from '../../../../src/frame/telemetry/rate-meter.ts';

describe('RateMeter', () => {
  it('returns 0 during its first quarter of a second', () => {
    const meter = new RateMeter(1000);
    meter.add(1000);
    expect(meter.perSecond(1100)).toBe(0);
  });

  it.each([1, 12, 25, 30, 60, 240])('measures %i per second for a source that sends as many', (fps) => {
    const meter = new RateMeter(50_000);
    for (let i = 0; i < fps * 10; i++) meter.add(50_000 + (i * 1000) / fps);
    expect(Math.abs(meter.perSecond(60_000) - fps)).toBeLessThanOrEqual(Math.max(0.3, fps * 0.03));
  });

  it('is correct from the first second on, not only once its window is full', () => {
    const meter = new RateMeter(50_000);
    for (let i = 0; i <= 25; i++) meter.add(50_000 + i * 40);
    expect(meter.perSecond(51_000)).toBeCloseTo(25, 0);
  });

  it('falls to 0 within five seconds of the last event, and stays there', () => {
    const meter = new RateMeter(0);
    for (let i = 0; i < 100; i++) meter.add(i * 40);
    expect(meter.perSecond(4_000 + 5_000)).toBe(0);
    expect(meter.perSecond(1e7)).toBe(0);
  });

  it('counts exactly the events of the full quarter seconds of its window', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 120 });
    fc.assert(
      fc.property(fc.nat(1e6), gaps, (startMs, steps) => {
        const meter = new RateMeter(startMs);
        const times: number[] = [];
        let now = startMs;
        for (const step of steps) {
          now += step;
          times.push(now);
          meter.add(now);
        }
        const endMs = Math.floor(now / 250) * 250;
        const fromMs = endMs - 19 * 250;
        const counted = times.filter((time) => time >= fromMs && time < endMs).length;
        const spanMs = endMs - Math.max(startMs, fromMs);
        expect(meter.perSecond(now)).toBeCloseTo(spanMs <= 0 ? 0 : (counted * 1000) / spanMs, 9);
      }),
    );
  });
});
