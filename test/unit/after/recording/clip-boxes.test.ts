import { expect, it } from 'vitest';
import { BoxMemory } from '../../../../src/after/recording/clip-boxes.ts';
import { publishedFrame } from '../../../support/runtime-double.ts';

const person = (x: number) => ({ classId: 0, label: 'person', score: 0.9, box: [x, 2, 3, 4] as const });
const times = (memory: BoxMemory): number[] => memory.between(0, 1e12).frames.map(({ ptsUs }) => ptsUs / 40_000);

it('keeps the frames that a clip may still begin with, those without a box as well', () => {
  const memory = new BoxMemory();
  for (let frame = 0; frame < 10; frame++)
    memory.push(publishedFrame('a', frame, frame % 2 === 0 ? [person(0.6)] : []), 6 * 40_000);
  expect(times(memory)).toEqual([6, 7, 8, 9]);
  const { frames } = memory.between(7 * 40_000, 9 * 40_000);
  expect(frames).toEqual([
    { ptsUs: 280_000, boxes: [] },
    { ptsUs: 320_000, boxes: [[1, 2, 3, 4, 'person']] },
  ]);
});

it('forgets the oldest frames where there are more boxes than it keeps, and a frame with more than that', () => {
  const memory = new BoxMemory();
  const crowd = (count: number) => Array.from({ length: count }, (_, i) => person(i));
  for (let frame = 0; frame < 30; frame++) memory.push(publishedFrame('a', frame, crowd(999)), 0);
  expect(times(memory)).toEqual(Array.from({ length: 20 }, (_, i) => 10 + i));
  memory.push(publishedFrame('a', 30, crowd(20_000)), 0);
  expect(times(memory)).toEqual([]);
  memory.push(publishedFrame('a', 31, crowd(1)), 0);
  expect(times(memory)).toEqual([31]);
});

it('begins anew where the picture has another size, or the clock was set back', () => {
  const memory = new BoxMemory();
  for (const frame of [5, 6]) memory.push(publishedFrame('a', frame), 0);
  memory.push(publishedFrame('a', 7, [], { width: 640, height: 360 }), 0);
  expect([times(memory), memory.between(0, 1e12).width]).toEqual([[7], 640]);
  memory.push(publishedFrame('a', 2, [], { width: 640, height: 360 }), 0);
  expect(times(memory)).toEqual([2]);
});

it('goes on after a frame with the time of the one before, as files end that were cut between frames which belong together', () => {
  const memory = new BoxMemory();
  for (const frame of [5, 6, 6, 6, 7]) memory.push(publishedFrame('a', frame), 0);
  expect(times(memory)).toEqual([5, 6, 6, 6, 7]);
});
