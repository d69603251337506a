import { expect, it } from 'vitest';
import { type Counters, compareCounts } from '../../../../../src/lab/optimize/gate/compare-counts.ts';
import type { RecordedResults } from '../../../../../src/network/evaluate/recorded-results.ts';

const COUNTERS: Counters = {
  lines: [{ id: 'gate', from: [0.5, 1], to: [0.5, 0], anchor: 'center', settleMs: 0, settleFrames: 1 }],
  zones: [
    {
      id: 'hall',
      polygon: [
        [0, 0],
        [0.5, 0],
        [0.5, 1],
        [0, 1],
      ],
      anchor: 'center',
    },
  ],
};

/** So many people walk over the line, from the left half of a 1000 x 500 picture to the right; two frames each side. */
function walkers(people: number, score = 0.9, frames = [0, 1, 2, 3]): RecordedResults {
  const recorded = frames.map((frame) => ({
    frame,
    ptsUs: frame * 40_000,
    width: 1000,
    height: 500,
    by: 'inferred' as const,
    detections: Array.from({ length: people }, (_, i) => ({
      classId: 0,
      label: 'person',
      score,
      trackId: i + 1,
      box: [440 + 30 * frame, 100, 40, 80] as const,
    })),
  }));
  return { classes: ['person'], scoreThreshold: 0.5, frames: recorded };
}

it('a line may count one crossing more or less, or its share of the count', () => {
  const line = (before: number, after: number) => compareCounts(walkers(before), walkers(after), COUNTERS, 0.1)[0]!;
  expect(line(3, 4)).toEqual({
    kind: 'line',
    id: 'gate',
    reference: [3, 0],
    candidate: [4, 0],
    difference: 1,
    allowed: 1,
  });
  expect(line(30, 26)).toMatchObject({ candidate: [26, 0], difference: 4, allowed: 3 });
});

it('a zone may hold a tenth of an object more or less in the mean, or its share, of the frames that both sides have', () => {
  const zone = (before: RecordedResults, after: RecordedResults) => compareCounts(before, after, COUNTERS, 0.1)[1]!;
  // In the left half in two of four frames.
  expect(zone(walkers(4), walkers(2))).toEqual({
    kind: 'zone',
    id: 'hall',
    reference: [2],
    candidate: [1],
    difference: 1,
    allowed: 0.2,
  });
  expect(zone(walkers(1), walkers(1))).toMatchObject({ reference: [0.5], difference: 0, allowed: 0.1 });
  expect(zone(walkers(4), walkers(2, 0.9, [0, 1]))).toMatchObject({ reference: [4], candidate: [2], difference: 2 });
  expect(zone(walkers(4), walkers(4, 0.9, []))).toMatchObject({ reference: [0], candidate: [0], difference: 0 });
});

it('what is below the threshold is not counted, and without lines and zones nothing is', () => {
  const [line, zone] = compareCounts(walkers(3, 0.5), walkers(3, 0.49), COUNTERS, 0.1);
  expect([line, zone]).toMatchObject([
    { reference: [3, 0], candidate: [0, 0] },
    { reference: [1.5], candidate: [0] },
  ]);
  expect(compareCounts(walkers(3), walkers(3), { ...COUNTERS, lines: [] }, 0.1).map(({ id }) => id)).toEqual(['hall']);
  expect(compareCounts(walkers(3), walkers(3), { ...COUNTERS, zones: [] }, 0.1).map(({ id }) => id)).toEqual(['gate']);
  expect(compareCounts(walkers(3), walkers(3), { lines: [], zones: [] }, 0.1)).toEqual([]);
});
