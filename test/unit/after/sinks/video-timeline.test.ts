import { describe, expect, it } from 'vitest';
import { VideoTimeline } from '../../../../src/after/sinks/video-timeline.ts';

function timesOf(ptsMs: readonly number[]): number[] {
  const timeline = new VideoTimeline();
  return ptsMs.map((ms) => timeline.next(ms * 1000) / 1000);
}

describe('times of a video', () => {
  it('begin at zero and keep every interval of the source', () => {
    expect(timesOf([7000, 7040, 7140, 9140])).toEqual([0, 40, 140, 2140]);
  });

  it('increase by 40 ms if the source has no times', () => {
    expect(timesOf([0, 0, 0])).toEqual([0, 40, 80]);
  });

  it('continue after the last interval when the source restarts, and then keep its intervals', () => {
    expect(timesOf([0, 100, 200, 0, 50, 100])).toEqual([0, 100, 200, 300, 350, 400]);
  });

  it('do not continue with a pause of the source as the interval', () => {
    expect(timesOf([0, 60_000, 60_000])).toEqual([0, 60_000, 61_000]);
  });
});
