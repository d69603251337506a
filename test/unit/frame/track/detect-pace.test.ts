import { describe, expect, it } from 'vitest';
import { DetectPace } from '../../../../src/frame/track/detect-pace.ts';

const GOOD = { tracks: 2, lost: 0, fresh: 0, leastIou: 0.9 };
const POOR = { tracks: 2, lost: 0, fresh: 0, leastIou: 0.3 };

/** Runs frames through a pace. @returns the numbers of those that are inferred. */
function run(pace: DetectPace, frames: number, qualityOf: (frame: number) => typeof GOOD, from = 0): number[] {
  const inferred: number[] = [];
  for (let frame = from; frame < from + frames; frame++) {
    if (!pace.isDue()) continue;
    inferred.push(frame);
    pace.onInferred(qualityOf(frame));
  }
  return inferred;
}

describe('DetectPace', () => {
  it('infers every n-th frame, beginning with the first', () => {
    const pace = new DetectPace({ min: 4, max: 4 });
    expect(run(pace, 13, () => POOR)).toEqual([0, 4, 8, 12]);
    expect([pace.isAdaptive, pace.longestGap]).toEqual([false, 4]);
  });

  it('never lets more than n frames pass: the longest distance is what it publishes', () => {
    const pace = new DetectPace({ min: 1, max: 6 });
    const inferred = run(pace, 400, () => GOOD);
    const gaps = inferred.slice(1).map((frame, i) => frame - inferred[i]!);
    expect(Math.max(...gaps)).toBe(6);
    expect(pace.longestGap).toBe(6);
  });

  it('grows while predictions are good, and is halved by a poor one', () => {
    const pace = new DetectPace({ min: 1, max: 8 });
    run(pace, 500, () => GOOD);
    expect(pace.stride).toBe(8);
    run(pace, 8, () => POOR, 500);
    expect(pace.stride).toBe(4);
    run(pace, 20, () => POOR, 508);
    expect(pace.stride, 'not below its minimum').toBe(1);
  });

  it('is halved when an object is lost or a new one appears', () => {
    for (const surprise of [
      { ...GOOD, lost: 1 },
      { ...GOOD, fresh: 1 },
      { tracks: 0, lost: 0, fresh: 1, leastIou: 1 },
    ]) {
      const pace = new DetectPace({ min: 1, max: 8 });
      run(pace, 500, () => GOOD);
      run(pace, 8, () => surprise, 500);
      expect(pace.stride).toBe(4);
    }
  });

  it.each([
    ['three good ones in a row', { ...GOOD, leastIou: 0.65 }, 5],
    ['none if an object was found farther away', { ...GOOD, leastIou: 0.64 }, 4],
    ['none, but is not halved, from an overlap of 0.4 on', { ...GOOD, leastIou: 0.4 }, 4],
    ['a half for less', { ...GOOD, leastIou: 0.39 }, 2],
    ['none for a surprise among ten objects', { ...GOOD, tracks: 10, lost: 1 }, 4],
    ['a half for one among nine', { ...GOOD, tracks: 9, fresh: 1 }, 2],
    ['a half for two kinds of surprise among nineteen', { ...GOOD, tracks: 19, lost: 1, fresh: 1 }, 2],
  ])('grows by one after three good predictions: %s', (_, quality, expected) => {
    const pace = new DetectPace({ min: 2, max: 8 });
    for (let i = 0; i < 6; i++) pace.onInferred(GOOD);
    expect([pace.stride, pace.isAdaptive]).toEqual([4, true]);
    for (let i = 0; i < 2; i++) pace.onInferred(GOOD);
    pace.onInferred(quality);
    expect(pace.stride).toBe(expected);
    // Good ones are counted anew.
    for (let i = 0; i < 2; i++) pace.onInferred(GOOD);
    expect(pace.stride).toBe(expected);
    pace.onInferred(GOOD);
    expect(pace.stride).toBe(expected + 1);
  });

  it('infers a frame that is urgent, and counts from there', () => {
    const pace = new DetectPace({ min: 4, max: 4 });
    expect([0, 1, 2, 3, 4, 5, 6].map((k) => pace.isDue(k === 2))).toEqual([
      true,
      false,
      true,
      false,
      false,
      false,
      true,
    ]);
  });

  it('infers the next frame if the one that was due was dropped', () => {
    const pace = new DetectPace({ min: 5, max: 5 });
    expect(pace.isDue()).toBe(true);
    pace.onDropped();
    expect(pace.isDue()).toBe(true);
    expect(pace.isDue()).toBe(false);
  });
});
