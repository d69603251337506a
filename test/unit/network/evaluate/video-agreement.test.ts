import { describe, expect, it } from 'vitest';
import type { Detection } from '../../../../src/base/core/detection.ts';
import { measureDrift } from '../../../../src/network/evaluate/box-drift.ts';
import { type FrameMatches, matchFrames } from '../../../../src/network/evaluate/frame-matches.ts';
import type { RecordedFrame, RecordedResults } from '../../../../src/network/evaluate/recorded-results.ts';
import { compareTracks } from '../../../../src/network/evaluate/track-agreement.ts';
import { compareOnVideo } from '../../../../src/network/evaluate/video-agreement.ts';

/** 20 x 20 is small, 50 x 50 medium and 100 x 100 large. */
function at(x: number, more: Partial<Detection> & { readonly sizePx?: number } = {}): Detection {
  const { sizePx = 50, ...rest } = more;
  return { classId: 0, label: 'person', score: 0.8, box: [x, 0, sizePx, sizePx], ...rest };
}

/** A clip at 10 frames a second. */
function clip(
  frames: readonly (readonly Detection[])[],
  more: Partial<RecordedResults> = {},
  by?: RecordedFrame['by'],
): RecordedResults {
  return {
    classes: ['person', 'car'],
    scoreThreshold: 0.4,
    frames: frames.map((detections, frame) => ({
      frame,
      ptsUs: frame * 100_000,
      width: 640,
      height: 480,
      detections,
      ...(by === undefined ? {} : { by }),
    })),
    ...more,
  };
}

function matched(
  reference: readonly (readonly Detection[])[],
  candidate: readonly (readonly Detection[])[],
  by?: RecordedFrame['by'],
): FrameMatches[] {
  return matchFrames(clip(reference), clip(candidate, {}, by));
}

const OPTIONS = { seed: 1, resamples: 200, blockMs: 1000 };
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe('matching frame by frame', () => {
  it('takes the frames that both runs published, by their numbers', () => {
    const reference = clip([[at(0)], [at(10)], [at(20)]]);
    const candidate = clip([[at(0)], [at(10)], [at(20)]]);
    const sparse = { ...candidate, frames: candidate.frames.filter(({ frame }) => frame !== 1) };
    expect(matchFrames(reference, sparse).map(({ frame }) => frame)).toEqual([0, 2]);
  });

  it('compares classes by label, since two models may number them differently', () => {
    const renumbered = at(0, { classId: 5 });
    expect([...matched([[at(0)]], [[renumbered]])[0]!.found]).toEqual([0]);
    expect([...matched([[at(0)]], [[at(0, { label: 'car' })]])[0]!.found]).toEqual([-1]);
  });

  it("uses each side's own threshold", () => {
    const weak = at(0, { score: 0.2 });
    const strict = matchFrames(clip([[at(0)]]), clip([[weak]], { scoreThreshold: 0.5 }));
    const lenient = matchFrames(clip([[at(0)]]), clip([[weak]], { scoreThreshold: 0.3 }));
    // Half of 0.5 is more than 0.2, half of 0.3 is less.
    expect([...strict[0]!.found]).toEqual([-1]);
    expect([...lenient[0]!.found]).toEqual([0]);
    expect([...lenient[0]!.confirmed]).toEqual([-2]);
  });

  it('forgives a score that slips below the threshold, but not below half of it', () => {
    const slipped = (score: number): number => matched([[at(0, { score: 0.41 })]], [[at(0, { score })]])[0]!.found[0]!;
    expect([slipped(0.39), slipped(0.19)]).toEqual([0, -1]);
  });
});

describe('agreement on a video', () => {
  it('finds each object once: two boxes on one object are one right and one invention', async () => {
    const { overall } = await compareOnVideo(matched([[at(0)]], [[at(0), at(1, { score: 0.7 })]]), OPTIONS);
    expect(overall.candidate).toBeCloseTo((2 * 1 * 0.5) / 1.5, 12);
  });

  it('is whole where neither finds anything', async () => {
    expect((await compareOnVideo(matched([[]], [[]]), OPTIONS)).overall).toMatchObject({ candidate: 1, loss: 0 });
  });

  it('is F1, overall, by size and by class', async () => {
    const car = at(300, { label: 'car', sizePx: 100 });
    // 20 frames with a person and a car; the candidate misses the car in half of them and invents a small person in all.
    const reference = times(20, [at(0), car]);
    const candidate = reference.map((_, i) => [at(0), at(500, { sizePx: 20 }), ...(i % 2 === 0 ? [car] : [])]);
    const { overall, bySize, byClass, blocks } = await compareOnVideo(matched(reference, candidate), OPTIONS);
    expect(blocks).toBe(2);
    // 30 of 40 objects are found again, 30 of 50 confirmed.
    expect(overall.candidate).toBeCloseTo((2 * (30 / 40) * (30 / 50)) / (30 / 40 + 30 / 50), 12);
    expect(overall.loss).toBeCloseTo(1 - overall.candidate, 12);
    expect(Object.fromEntries(bySize.map(({ size, candidate: f1 }) => [size, f1]))).toEqual({
      small: 0,
      medium: 1,
      large: (2 * 0.5 * 1) / 1.5,
    });
    const [worst, other] = byClass;
    expect(worst).toMatchObject({ label: 'person', objects: 20, units: 2, foundByCandidate: 20 });
    expect(worst!.candidate).toBeCloseTo((2 * 1 * 0.5) / 1.5, 12);
    expect(other).toMatchObject({ label: 'car', objects: 20, foundByCandidate: 10 });
  });

  it('has the boxes that are reported of objects that both see: what slips below the threshold, less what rises above', async () => {
    const [sure, weak] = [at(0), at(0, { score: 0.3 })];
    const reference = [...times(10, [sure]), ...times(5, [weak])];
    // Of ten objects four slip below 0.4; of five below it two rise.
    const candidate = [...times(6, [sure]), ...times(4, [weak]), ...times(2, [sure]), ...times(3, [weak])];
    const { overall, published } = await compareOnVideo(matched(reference, candidate), OPTIONS);
    expect(overall.loss).toBe(0);
    expect(published).toMatchObject({ reference: 1, candidate: (6 + 2) / 10 });
  });

  it('has an interval that is wider for losses that come together than for losses spread evenly', async () => {
    const reference = times(400, [at(0)]);
    const spread = reference.map((frame, i) => (i % 10 === 0 ? [] : frame));
    // The same number of misses, in four of forty seconds.
    const together = reference.map((frame, i) => (i < 40 ? [] : frame));
    const [even, lumped] = await Promise.all(
      [spread, together].map((candidate) => compareOnVideo(matched(reference, candidate), OPTIONS)),
    );
    expect(even!.overall.loss).toBe(lumped!.overall.loss);
    expect(even!.overall.standardError).toBeCloseTo(0, 12);
    expect(lumped!.overall.standardError).toBeGreaterThan(0.01);
  });
});

describe('tracks', () => {
  it('are kept if one id covers more than half of their life', () => {
    const track = (id: number): Detection => at(0, { trackId: id });
    const reference = times(10, [track(1)]);
    const switched = (frames: number): FrameMatches[] =>
      matched(
        reference,
        reference.map((_, i) => [track(i < frames ? 7 : 8)]),
      );
    expect(compareTracks(switched(6), 500)).toMatchObject({ tracks: 1, kept: 1 });
    expect(compareTracks(switched(5), 500)).toMatchObject({ tracks: 1, kept: 0 });
  });

  it('count only if they last five frames', () => {
    const short = [...times(4, [at(0, { trackId: 1 })]), ...times(6, [])];
    expect(compareTracks(matched(short, times(10, [])), 500).tracks).toBe(0);
  });

  it('have a delay: frames from the first appearance to that in the candidate', () => {
    const reference = times(20, [at(0, { trackId: 1 }), at(300, { trackId: 2 })]);
    const candidate = reference.map(([first, second], i) => [
      ...(i >= 3 ? [first!] : []),
      ...(i >= 8 ? [second!] : []),
    ]);
    const { delayFrames, late } = compareTracks(matched(reference, candidate), 500);
    expect(delayFrames).toMatchObject({ median: 5.5, max: 8 });
    // 8 frames are 800 ms, 3 are 300.
    expect(late).toBe(1);
  });

  it('that never appear are late', () => {
    expect(compareTracks(matched(times(9, [at(0, { trackId: 1 })]), times(9, [])), 500).late).toBe(1);
  });
});

describe('stale boxes', () => {
  const gone = [...times(3, [at(0)]), ...times(4, [])];
  const lingering = times(7, [at(0)]);

  it('are those that stay where the object of the reference has gone', () => {
    expect(compareTracks(matched(gone, lingering), 500)).toMatchObject({ staleBoxes: 4, boxes: 7 });
  });

  it('are none if the picture was inferred: that is a false detection', () => {
    expect(compareTracks(matched(gone, lingering, 'inferred'), 500).staleBoxes).toBe(0);
    expect(compareTracks(matched(gone, lingering, 'unchanged'), 500).staleBoxes).toBe(4);
  });

  it('are none if they were never right', () => {
    expect(compareTracks(matched(times(7, []), lingering), 500).staleBoxes).toBe(0);
  });
});

describe('the drift of boxes', () => {
  it('is their mean shift in sizes of the box; noise cancels', () => {
    const noisy = matched(times(2, [at(100)]), [[at(105)], [at(95)]]);
    expect(measureDrift(noisy).x).toBeCloseTo(0, 12);
    // 5 of 50 pixels to the right, and a tenth taller at the same top, so its centre is a twentieth lower.
    const shifted = matched([[at(100)]], [[at(105, { box: [105, 0, 50, 55] })]]);
    const { x, y, width, height } = measureDrift(shifted);
    expect([x, y, width, height].map((share) => Number(share.toFixed(6)))).toEqual([0.1, 0.05, 0, 0.1]);
  });
});
