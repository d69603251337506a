import { describe, expect, it } from 'vitest';
import { type SeenFrame, steadySightings } from '../../../bench/support/missed-objects.ts';
import type { Box } from '../../../src/base/core/detection.ts';

const OPTIONS = { minShare: 0.01, steadyMs: 500 };
const SIZE = { width: 100, height: 100 };
/** 2 % of the picture. */
const PERSON: Box = [10, 10, 10, 20];

/** A second of ten frames; `boxesOf` says what each has. */
function clip(boxesOf: (frame: number) => readonly Box[], label = 'person'): SeenFrame[] {
  return Array.from({ length: 10 }, (_, frame) => ({
    ...SIZE,
    ptsUs: frame * 100_000,
    detections: boxesOf(frame).map((box) => ({ classId: label === 'person' ? 0 : 1, label, score: 0.9, box })),
  }));
}

describe('steadySightings', () => {
  it('finds nothing missing in a run that has every box', () => {
    const every = clip(() => [PERSON]);
    expect(steadySightings(every, every, OPTIONS)).toEqual([
      { label: 'person', fromUs: 0, toUs: 1_000_000, missedMs: 0, missedFromUs: 0 },
    ]);
  });

  it('measures the longest time from the first missing frame to the next that has it', () => {
    const every = clip(() => [PERSON]);
    const other = clip((frame) => ([1, 4, 5, 6].includes(frame) ? [] : [PERSON]));
    expect(steadySightings(every, other, OPTIONS)).toMatchObject([{ missedMs: 300, missedFromUs: 400_000 }]);
  });

  it('counts what is missing from the first frame of an object and to the end of the clip', () => {
    const every = clip((frame) => (frame < 3 ? [] : [PERSON]));
    expect(
      steadySightings(
        every,
        clip(() => []),
        OPTIONS,
      ),
    ).toMatchObject([{ missedMs: 700, missedFromUs: 300_000 }]);
  });

  it('takes a box of another class, or of an IoU below one half, for none', () => {
    const every = clip(() => [PERSON]);
    const elsewhere: Box = [10, 17, 10, 20];
    // 13 of 20 rows in common: 13 / 27.
    expect(
      steadySightings(
        every,
        clip(() => [elsewhere]),
        OPTIONS,
      ),
    ).toMatchObject([{ missedMs: 1000 }]);
    expect(
      steadySightings(
        every,
        clip(() => [PERSON], 'dog'),
        OPTIONS,
      ),
    ).toMatchObject([{ missedMs: 1000 }]);
  });

  it('leaves out what inference of every frame does not hold for long enough, and small objects', () => {
    const flickers = clip((frame) => (frame % 5 === 4 ? [] : [PERSON]));
    expect(
      steadySightings(
        flickers,
        clip(() => []),
        OPTIONS,
      ),
    ).toEqual([]);
    const small = clip(() => [[10, 10, 9, 11]]);
    expect(
      steadySightings(
        small,
        clip(() => []),
        OPTIONS,
      ),
    ).toEqual([]);
  });

  it('follows an object that moves, and two of a class beside each other', () => {
    const walk = (frame: number): Box[] => [
      [10 + 2 * frame, 10, 10, 20],
      [60 - 2 * frame, 50, 10, 20],
    ];
    const second = clip((frame) => walk(frame).slice(1));
    expect(
      steadySightings(clip(walk), second, OPTIONS)
        .map(({ missedMs }) => missedMs)
        .sort(),
    ).toEqual([0, 1000]);
  });

  it('refuses runs of different length', () => {
    expect(() =>
      steadySightings(
        clip(() => []),
        [],
        OPTIONS,
      ),
    ).toThrow('expected 10 frames, received 0');
  });
});
