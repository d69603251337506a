import { describe, expect, it } from 'vitest';
import { SpanCheck } from '../../../../src/frame/decode/span-check.ts';

/** Frames 10 to 19 of a file of 25 frames a second. */
const SPAN = { index: 1, fromUs: 400_000, toUs: 800_000, firstFrame: 10, frames: 10 };

function complaints(
  frames: readonly number[],
  { every = 1, sizes = [] as number[], span = SPAN as Parameters<typeof check>[0] } = {},
): (string | null)[] {
  return check(span, every, frames, sizes);
}

function check(
  span: ConstructorParameters<typeof SpanCheck>[0],
  every: number,
  frames: readonly number[],
  sizes: readonly number[],
): (string | null)[] {
  const it = new SpanCheck(span, every);
  const seen = frames.map((frame, i) => it.next({ ptsUs: frame * 40_000, width: sizes[i] ?? 64, height: 36 }));
  return [...seen, it.end(0)].filter((complaint) => complaint !== null);
}

const ALL = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];

describe('SpanCheck', () => {
  it('accepts the frames that the index lists', () => {
    expect(complaints(ALL)).toEqual([]);
  });

  it.each([
    ['begins too early', [9, ...ALL.slice(1)], /at 360000 us, the segment begins at 400000 us/],
    ['begins too late', [11, ...ALL.slice(2), 19.5], /at 440000 us, the segment begins at 400000 us/],
    ['ends too late', [...ALL.slice(0, 9), 20], /at 800000 us, the segment ends at 800000 us/],
    ['goes back in time', [10, 12, 11, 13, 14, 15, 16, 17, 18, 19], /at 440000 us follows one at 480000 us/],
    ['lacks a frame', ALL.slice(0, 9), /decoded 9 frames, the index lists 10/],
  ])('reports a segment that %s', (_, frames, expected) => {
    expect(complaints(frames)[0]).toMatch(expected);
  });

  it('reports a picture that changes its size', () => {
    expect(complaints(ALL, { sizes: [64, 64, 32] })[0]).toMatch(/changes from 64x36 to 32x36/);
  });

  it('reports decoding errors', () => {
    expect(new SpanCheck({ ...SPAN, frames: 0 }, 1).end(2)).toMatch(/2 decoding errors/);
  });

  // Frames 0, 3, 6, 9, 12 ... of the file: in this segment 12, 15 and 18.
  it('expects every n-th frame, counted from the start of the file', () => {
    expect(complaints([12, 15, 18], { every: 3 })).toEqual([]);
    expect(complaints([12, 15], { every: 3 })).toHaveLength(1);
    expect(new SpanCheck(SPAN, 3).expectedFrames).toBe(3);
    expect(new SpanCheck(SPAN, 30).expectedFrames).toBe(0);
    expect(new SpanCheck({ ...SPAN, firstFrame: 30 }, 30).expectedFrames).toBe(1);
  });

  it('does not check the count if the index has none', () => {
    const { frames: _, ...span } = SPAN;
    expect(complaints(ALL.slice(0, 4), { span })).toEqual([]);
  });
});
