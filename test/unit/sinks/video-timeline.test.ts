import { describe, expect, it } from 'vitest';
import { VideoTimeline } from '../../../src/sinks/video-timeline.ts';

function timesOf(ptsMs: readonly number[]): number[] {
  const timeline = new VideoTimeline();
  return ptsMs.map((ms) => timeline.next(ms * 1000) / 1000);
}

describe('times of a video', () => {
  it('begin at zero and keep every interval of the source', () => {
    expect(timesOf([7000, 7040, 7140, 9140])).toEqual([0, 40, 140, 2140]);
  });

  it('rise by 40 ms where the source has no times at all', () => {
    expect(timesOf([0, 0, 0])).toEqual([0, 40, 80]);
  });

  it('go on after the last interval where the source starts again, and keep its intervals then', () => {
    expect(timesOf([0, 100, 200, 0, 50, 100])).toEqual([0, 100, 200, 300, 350, 400]);
  });

  it('take a pause of the source for no interval', () => {
    expect(timesOf([0, 60_000, 60_000])).toEqual([0, 60_000, 61_000]);
  });
});
