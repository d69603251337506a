import { expect, it } from 'vitest';
import { type CollectedResults, heldResults } from '../../../../../src/lab/optimize/gate/collect-results.ts';
import type { RecordedFrame } from '../../../../../src/network/evaluate/recorded-results.ts';

function results(startsUs: readonly number[], frames: readonly (readonly [ptsUs: number, labels: string])[]) {
  const recorded = frames.map(([ptsUs, labels], frame): RecordedFrame => {
    const detections = [...labels].map((label) => ({ classId: 0, label, score: 0.9, box: [0, 0, 1, 1] as const }));
    return { frame, ptsUs, width: 64, height: 48, detections, by: 'inferred' };
  });
  return { classes: [], scoreThreshold: 0.4, frames: recorded, startsUs } as unknown as CollectedResults;
}

const labelsOf = ({ frames }: CollectedResults): string[] =>
  frames.map(({ detections }) => detections.map(({ label }) => label).join(''));

it('a result holds until the next one of the same clip, whose times may be rounded otherwise', () => {
  const every = results(
    [0, 1e6],
    [0, 200_000, 400_000, 600_000, 1e6, 1_200_000, 1_400_000].map((ptsUs) => [ptsUs, 'x'] as const),
  );
  // The clips are joined elsewhere: they end with other frames.
  const some = results(
    [0, 3e6],
    [
      [0, 'a'],
      [400_400, 'b'],
      [3_200_000, 'c'],
    ],
  );
  const held = heldResults(every, some);
  // The second clip begins with a frame that is not decoded.
  expect(labelsOf(held)).toEqual(['a', 'a', 'b', 'b', '', 'c', 'c']);
  expect(held.frames.map(({ frame, ptsUs }) => [frame, ptsUs])).toEqual(
    every.frames.map(({ frame, ptsUs }) => [frame, ptsUs]),
  );
  expect(held.startsUs).toEqual(every.startsUs);
});

it('a result of a millisecond later is that of the frame, one of more is not', () => {
  const every = results(
    [0],
    [0, 40_000].map((ptsUs) => [ptsUs, 'x'] as const),
  );
  const heldFrom = (ptsUs: number) => labelsOf(heldResults(every, results([0], [[ptsUs, 'a']])));
  expect([heldFrom(1000), heldFrom(1001)]).toEqual([
    ['a', 'a'],
    ['', 'a'],
  ]);
});

it('a run of all frames is what it was', () => {
  const every = results(
    [0],
    [
      [0, 'a'],
      [40_000, ''],
      [80_000, 'bc'],
    ],
  );
  expect(labelsOf(heldResults(every, every))).toEqual(['a', '', 'bc']);
});
