import { describe, expect, it } from 'vitest';
import type { Box } from '../../../src/core/detection.ts';
import { MotionFilter } from '../../../src/track/motion-filter.ts';

function boxOf(filter: MotionFilter): number[] {
  const box = new Float64Array(4);
  filter.writeBox(box, 0);
  return [...box];
}

/** A 40 x 80 box that moves by 200 pixels a second. */
function boxAt(timeMs: number): Box {
  return [100 + 0.2 * timeMs, 50, 40, 80];
}

function followed(frameMs: number, untilMs: number): MotionFilter {
  const filter = new MotionFilter(boxAt(0));
  for (let timeMs = frameMs; timeMs <= untilMs; timeMs += frameMs) {
    filter.predict(frameMs * 1000, false);
    filter.correct(boxAt(timeMs));
  }
  return filter;
}

describe('MotionFilter', () => {
  it('starts at the box that it was given', () => {
    expect(boxOf(new MotionFilter([10, 20, 30, 60]))).toEqual([10, 20, 30, 60]);
  });

  it('lies between the prediction and the measurement', () => {
    const filter = new MotionFilter([100, 100, 40, 80]);
    filter.predict(33_333, false);
    filter.correct([110, 100, 40, 80]);
    const [x] = boxOf(filter) as [number];
    expect(x).toBeGreaterThan(105);
    expect(x).toBeLessThan(110);
  });

  it.each([
    ['5 frames a second', 200],
    ['25 frames a second', 40],
    ['50 frames a second', 20],
  ])('learns a speed in media time, at %s', (_, frameMs) => {
    const filter = followed(frameMs, 2000);
    filter.predict(500_000, false);
    expect(boxOf(filter)[0]).toBeCloseTo(100 + 0.2 * 2500, 0);
  });

  it('weighs the first measurements by the Kalman gain', () => {
    // Height 80: position spread 4, so the start has variance (2 * 4)^2 = 64 in place and (10 * 0.5)^2 = 25 in speed.
    // One nominal frame later: 64 + 25 + 4^2 = 105, against 4^2 = 16 of the measurement: gain 105 / 121.
    const filter = new MotionFilter([100, 100, 40, 80]);
    filter.predict(1e6 / 30, false);
    filter.correct([110, 100, 40, 80]);
    expect(boxOf(filter)[0]).toBeCloseTo(100 + (10 * 105) / 121, 9);
  });

  it('becomes less certain the longer there is no measurement', () => {
    // Two nominal frames: 64 + 2^2 * 25 + 2 * 4^2 = 196, against 16 of the measurement: gain 196 / 212.
    const filter = new MotionFilter([100, 100, 40, 80]);
    filter.predict(2e6 / 30, false);
    filter.correct([110, 100, 40, 80]);
    expect(boxOf(filter)[0]).toBeCloseTo(100 + (10 * 196) / 212, 9);
  });

  it('keeps the size of a lost object, and never lets a size reach zero', () => {
    const shrinking = () => {
      const filter = new MotionFilter([100, 100, 100, 200]);
      for (let k = 1; k <= 10; k++) {
        filter.predict(40_000, false);
        filter.correct([100 + 5 * k, 100 + 10 * k, 100 - 9 * k, 200 - 18 * k]);
      }
      return filter;
    };
    const hidden = shrinking();
    const heightPx = boxOf(hidden)[3]!;
    hidden.predict(2_000_000, true);
    expect(boxOf(hidden)[3]).toBeCloseTo(heightPx, 9);
    const seen = shrinking();
    seen.predict(2_000_000, false);
    expect(boxOf(seen)[3]).toBeGreaterThan(0);
  });
});
