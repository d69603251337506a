import { describe, expect, it } from 'vitest';
import { bitmapOfRuns, runsOfMask } from '../../../../src/base/geometry/rle.ts';
import { rowColumns, rowLength, unpackRows } from '../../../../src/base/geometry/task-rows.ts';

const CLASSES = ['person', 'ship'];
const BOX = [10, 20, 30, 40, 0.5, 0];

describe('unpackRows', () => {
  it('reads rows of boxes as they are', () => {
    const [detection, ...others] = unpackRows(Float32Array.from(BOX), CLASSES, {});
    expect(others).toEqual([]);
    expect(detection).toEqual({ classId: 0, label: 'person', score: 0.5, box: [10, 20, 30, 40] });
  });

  it('reads the key points of each row', () => {
    const kind = { task: 'keypoints', keypoints: 2 } as const;
    const rows = Float32Array.from([...BOX, 1, 2, 0.75, 3, 4, 0.25, ...BOX, 5, 6, 1, 7, 8, 0]);
    expect(unpackRows(rows, CLASSES, kind).map(({ keypoints }) => keypoints)).toEqual([
      [1, 2, 0.75, 3, 4, 0.25],
      [5, 6, 1, 7, 8, 0],
    ]);
  });

  it('reads the angle of each row', () => {
    const rows = Float32Array.from([10, 20, 30, 40, 0.5, 1, -45]);
    expect(unpackRows(rows, CLASSES, { task: 'oriented-boxes' })).toMatchObject([{ label: 'ship', angle: -45 }]);
  });

  it('reads masks of different lengths, and rows without a mask, if nobody reads masks', () => {
    // A picture of 3x2: the second column is inside; then all of it; then no mask.
    const rows = Float32Array.from([...BOX, 3, 2, 3, 2, 2, 2, ...BOX, 3, 2, 2, 0, 6, ...BOX, 3, 2, 0]);
    const detections = unpackRows(rows, CLASSES, { task: 'masks' });
    expect(detections.map(({ mask }) => mask && Array.from(bitmapOfRuns(runsOfMask(mask))))).toEqual([
      [0, 1, 0, 0, 1, 0],
      [1, 1, 1, 1, 1, 1],
      undefined,
    ]);
    expect(detections[0]!.mask!.size).toEqual([2, 3]);
    expect(detections[2]).not.toHaveProperty('mask');
    expect([0, 12, 23].map((at) => rowLength(rows, at, { task: 'masks' }))).toEqual([12, 11, 9]);
  });
});

describe('columns', () => {
  it('are those of the box and of the task', () => {
    expect(rowColumns({})).toBe(6);
    expect(rowColumns({ task: 'classes' })).toBe(6);
    expect(rowColumns({ task: 'keypoints', keypoints: 17 })).toBe(57);
    expect(rowColumns({ task: 'oriented-boxes' })).toBe(7);
  });
});
