import { describe, expect, it } from 'vitest';
import { MediaTimeline } from '../../../../src/frame/track/media-timeline.ts';

function advanced(...ptsMs: number[]) {
  const timeline = new MediaTimeline(1000);
  const breaks = ptsMs.map((ms) => timeline.advance(ms * 1000).isBroken);
  return { nowMs: timeline.nowUs / 1000, breaks };
}

describe('MediaTimeline', () => {
  it('counts media time from the first timestamp, whatever its value', () => {
    expect(advanced(5000, 5040, 5100)).toEqual({ nowMs: 100, breaks: [false, false, false] });
  });

  it('counts no step twice when timestamps jitter', () => {
    expect(advanced(0, 100, 60, 140)).toEqual({ nowMs: 140, breaks: [false, false, false, false] });
  });

  it('takes a step back of just its limit for jitter', () => {
    expect(advanced(0, 5000, 4000, 5010)).toEqual({ nowMs: 5010, breaks: [false, false, false, false] });
    expect(advanced(0, 5000, 3999, 4009)).toEqual({ nowMs: 5010, breaks: [false, false, true, false] });
  });

  it('reports a break at a large step back, and continues from there', () => {
    expect(advanced(0, 5000, 0, 40)).toEqual({ nowMs: 5040, breaks: [false, false, true, false] });
  });
});
