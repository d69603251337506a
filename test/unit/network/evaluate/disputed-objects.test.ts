import { expect, it } from 'vitest';
import type { Detection } from '../../../../src/base/core/detection.ts';
import { askedBox, disputedObjects } from '../../../../src/network/evaluate/disputed-objects.ts';
import { matchFrames } from '../../../../src/network/evaluate/frame-matches.ts';
import type { RecordedResults } from '../../../../src/network/evaluate/recorded-results.ts';

type Found = readonly [label: string, x: number, score: number];

/** Boxes of 100 by 100 pixels; a frame each 100 ms. */
function run(...frames: readonly (readonly Found[])[]): RecordedResults {
  return {
    classes: ['bag', 'person'],
    scoreThreshold: 0.3,
    frames: frames.map((found, frame) => ({
      frame,
      ptsUs: frame * 100_000,
      width: 1000,
      height: 500,
      detections: found.map(
        ([label, x, score]): Detection => ({ label, classId: 0, score, box: [x, 200, 100, 100] }) as Detection,
      ),
    })),
  };
}

it('joins boxes that one detector alone reports to objects, in the order of their times', () => {
  const today = run([['bag', 0, 0.5]], [['bag', 10, 0.9]], [['bag', 20, 0.6]], [['bag', 800, 0.5]]);
  const { classes, frames } = disputedObjects(matchFrames(today, run([], [], [], [])), ['bag']);
  expect(classes).toHaveLength(1);
  const [{ both, objects }] = classes as [(typeof classes)[number]];
  expect(both).toBe(0);
  expect(objects.map(({ by, boxes }) => [by, boxes.map(({ box: [x] }) => x)])).toEqual([
    ['today', [0, 10, 20]],
    ['today', [800]],
  ]);
  expect(askedBox(objects[0]!)).toEqual({ atUs: 100_000, box: [10, 200, 100, 100], score: 0.9 });
  expect(frames.map(({ atUs }) => atUs)).toEqual([100_000, 300_000]);
  // Whoever sees the id does not see whose object it is.
  expect(new Set(objects.map(({ id }) => id)).size).toBe(2);
});

it('counts what both report, and leaves out what is below the threshold of its own side', () => {
  const today = run([
    ['bag', 0, 0.9],
    ['bag', 300, 0.2],
  ]);
  const fresh = run([
    ['bag', 5, 0.25],
    ['bag', 600, 0.29],
    ['person', 800, 0.9],
  ]);
  const { classes } = disputedObjects(matchFrames(today, fresh), ['bag', 'person']);
  expect(classes.map(({ label, both, objects }) => [label, both, objects.map(({ by }) => by)])).toEqual([
    ['bag', 1, []],
    ['person', 0, ['new']],
  ]);
});

it('says what the other one reports in the same place', () => {
  const today = run([
    ['bag', 0, 0.9],
    ['person', 500, 0.9],
  ]);
  const fresh = run([
    ['person', 10, 0.9],
    ['person', 505, 0.8],
  ]);
  const { classes, frames } = disputedObjects(matchFrames(today, fresh), ['bag']);
  expect(classes[0]!.objects[0]!.other).toEqual({ label: 'person', box: [10, 200, 100, 100] });
  // All that is reported there, what both report once.
  expect(frames[0]!.boxes.map(({ label, box: [x] }) => [label, x])).toEqual([
    ['bag', 0],
    ['person', 500],
    ['person', 10],
  ]);
});

it('begins another object after half a second without it', () => {
  const gap = Array.from({ length: 6 }, (): Found[] => []);
  const today = run([['bag', 0, 0.9]], ...gap, [['bag', 0, 0.9]]);
  const { classes } = disputedObjects(matchFrames(today, run([], ...gap, [])), ['bag']);
  expect(classes[0]!.objects).toHaveLength(2);
});
