import { describe, expect, it } from 'vitest';
import type { PtsUs } from '../../../../src/base/core/units.ts';
import { type TimedFrame, timeProblems } from '../../../../src/frame/decode/test-source.ts';

/** Frames by their media times in milliseconds. @param speed - media time by real time. */
const framesAt = (mediaMs: readonly number[], speed = 1): TimedFrame[] =>
  mediaMs.map((ms) => ({ ptsUs: (ms * 1000) as PtsUs, atMs: (ms - mediaMs[0]!) / speed }));
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const steady = (count: number, stepMs = 40): number[] => Array.from({ length: count }, (_, i) => 5000 + i * stepMs);

describe('time stamps', () => {
  it('that advance are in order, also with a gap and of a slow camera', () => {
    expect(timeProblems(framesAt(steady(38)), true)).toEqual([]);
    expect(timeProblems(framesAt([...steady(10), ...steady(10).map((ms) => ms + 4000)]), false)).toEqual([]);
    expect(timeProblems(framesAt(steady(3, 500)), true)).toEqual([]);
  });

  it('that go back are counted', () => {
    expect(timeProblems(framesAt([0, 40, 80, 20, 60, 10]), false)).toEqual(['time goes back at 2 of 5 frames']);
  });

  it('that repeat are counted; that all repeat is reported', () => {
    expect(timeProblems(framesAt([0, 40, 40, 80]), false)).toEqual([
      '1 of 3 frames have the time stamp of the frame before, or none',
    ]);
    expect(timeProblems(framesAt([7, 7, 7]), false)).toEqual(['no frame has a time stamp of its own']);
  });

  it('of a live source that do not follow the clock are reported with their speed; a file is decoded as fast as it can be', () => {
    expect(timeProblems(framesAt(steady(100), 2.5), true)).toEqual(['time stamps run 2.50 times as fast as the clock']);
    expect(timeProblems(framesAt(steady(20), 0.25), true)).toEqual(['time stamps run 0.25 times as fast as the clock']);
    expect(timeProblems(framesAt(steady(400), 12), false)).toEqual([]);
  });

  it('of a live source that begins with a burst are judged by what follows', () => {
    const late = steady(38).map((ms, i) => ({ ptsUs: (ms * 1000) as PtsUs, atMs: i < 25 ? i : (i - 24) * 40 + 500 }));
    expect(timeProblems(late, true)).toEqual([]);
    // As ffmpeg begins with a camera that sends frames in another order than that of their times.
    const guessed = [0, -120, -80, -40, ...numbers(35).map((i) => i * 40)].map((ms, i) => ({
      ptsUs: (ms * 1000) as PtsUs,
      atMs: i * 40,
    }));
    expect(timeProblems(guessed, true)).toEqual([]);
    expect(timeProblems(guessed, false)).toEqual(['time goes back at 1 of 38 frames']);
  });

  it('of too few frames cannot be judged', () => {
    for (const few of [[], [0], [0, 500]])
      expect(timeProblems(framesAt(few), true)).toEqual(['too few frames came to judge their time stamps']);
  });
});
