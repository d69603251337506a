import { describe, expect, it } from 'vitest';
import { TrackRate, trackRateProblem } from '../../../../src/frame/track/track-rate.ts';

function rateOf(...intervalsMs: number[]): TrackRate {
  const rate = new TrackRate();
  let ptsUs = 0;
  rate.onFrame(ptsUs);
  for (const intervalMs of intervalsMs) {
    ptsUs += intervalMs * 1000;
    rate.onFrame(ptsUs);
  }
  return rate;
}

const times = (count: number, value: number): number[] => Array.from({ length: count }, () => value);

describe('the rate of a stream', () => {
  it('is known after ten frames, and follows a change within as many', () => {
    expect(rateOf(...times(8, 1000)).fps).toBeNull();
    expect(rateOf(...times(9, 1000)).fps).toBe(1);
    expect(rateOf(...times(20, 1000), ...times(5, 40)).fps).toBe(25);
  });

  it('does not depend on a pause, a burst or a source that starts again', () => {
    expect(rateOf(...times(20, 40), 60_000, ...times(2, 40)).fps).toBe(25);
    expect(rateOf(...times(20, 1000), ...times(3, 1)).fps).toBe(1);
    expect(rateOf(...times(9, 100), -900, ...times(3, 100)).fps).toBe(10);
  });

  it('of frames with one and the same time is no problem', () => {
    expect(trackRateProblem(rateOf(...times(9, 0)).fps!)).toBeNull();
  });
});

describe('a rate at which objects cannot be followed', () => {
  it.each([
    [0.1, true],
    [1, true],
    [2.9, true],
    [3, false],
    [25, false],
  ])('%f frames/s: %s', (fps, isTooLow) => {
    expect(trackRateProblem(fps) !== null).toBe(isTooLow);
  });

  it('is named, with one that is enough', () => {
    expect(trackRateProblem(2.449)).toMatch(/^2\.4 frames\/s are too few .* Take 5 or more/);
  });
});
