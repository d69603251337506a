import { describe, expect, it } from 'vitest';
import { mergeViews, type ViewRows } from '../../../../src/frame/postprocess/merge-views.ts';

type Row = readonly [x: number, y: number, width: number, height: number, score: number, classId: number];

/** Two tiles side by side that share the columns from 80 to 120, and the picture of 200x100 as a whole. */
const LEFT = { x: 0, y: 0, width: 120, height: 100 };
const RIGHT = { x: 80, y: 0, width: 120, height: 100 };
const PICTURE = { x: 0, y: 0, width: 200, height: 100 };

function part(bounds: ViewRows['bounds'], ...rows: Row[]): ViewRows {
  return { rows: Float32Array.from(rows.flat()), bounds };
}

/** The boxes that are left, scores to two decimals. */
function merge(parts: readonly ViewRows[], limit = 100): number[][] {
  const merged = mergeViews(parts, limit);
  return Array.from({ length: merged.length / 6 }, (_, i) =>
    Array.from(merged.subarray(i * 6, i * 6 + 6), (value) => Number(value.toFixed(2))),
  );
}

describe('mergeViews', () => {
  it('reports an object that two tiles show whole once, with the better score', () => {
    const merged = merge([part(LEFT, [90, 40, 20, 20, 0.6, 1]), part(RIGHT, [91, 41, 20, 20, 0.8, 1])]);
    expect(merged).toEqual([[91, 41, 20, 20, 0.8, 1]]);
  });

  it('keeps what other tasks add to each row, also where rows differ in length', () => {
    const left = Float32Array.from([
      ...[90, 40, 20, 20, 0.6, 1],
      200,
      100,
      2,
      7,
      19_993,
      ...[5, 5, 9, 9, 0.9, 1],
      200,
      100,
      0,
    ]);
    const right = Float32Array.from([...[91, 41, 20, 20, 0.8, 1], 200, 100, 3, 1, 2, 19_997]);
    const parts = [
      { rows: left, bounds: LEFT },
      { rows: right, bounds: RIGHT },
    ];
    const merged = Array.from(mergeViews(parts, 9, { task: 'masks' }));
    expect(merged.filter((value) => Number.isInteger(value))).toEqual([
      ...[5, 5, 9, 9, 1, 200, 100, 0],
      ...[91, 41, 20, 20, 1, 200, 100, 3, 1, 2, 19_997],
    ]);
  });

  it('keeps objects of two classes at the same place', () => {
    const merged = merge([part(LEFT, [90, 40, 20, 20, 0.6, 1]), part(RIGHT, [90, 40, 20, 20, 0.8, 2])]);
    expect(merged.map((row) => row[5])).toEqual([2, 1]);
  });

  it('keeps overlapping boxes of one view, which its network has told apart', () => {
    const rows: Row[] = [
      [20, 20, 20, 40, 0.9, 0],
      [23, 20, 20, 40, 0.8, 0],
    ];
    expect(merge([part(LEFT, ...rows), part(RIGHT)])).toHaveLength(2);
  });

  it('prefers the box of the tile that shows all of an object, even with a lower score', () => {
    // The object lies from 90 to 150. The left tile shows half of it, up to its edge at 120.
    const whole: Row = [90, 30, 60, 30, 0.6, 0];
    expect(merge([part(LEFT, [90, 30, 30, 30, 0.9, 0]), part(RIGHT, whole)])).toEqual([[...whole]]);
  });

  it('keeps a confident cut box where the box around it is far less credible', () => {
    const merged = merge([part(LEFT, [90, 30, 30, 30, 0.9, 0]), part(RIGHT, [90, 30, 60, 30, 0.1, 0])]);
    expect(merged.map((row) => row[4])).toEqual([0.9, 0.1]);
  });

  it('keeps a cut box where no other view shows the object', () => {
    expect(merge([part(LEFT, [100, 30, 20, 30, 0.9, 0]), part(RIGHT)])).toHaveLength(1);
  });

  it('leaves objects at the edge of the picture alone: nothing of them lies in another view', () => {
    // A small object in front of a larger one, both at the left edge.
    const merged = merge([part(LEFT, [0, 30, 10, 10, 0.9, 0]), part(PICTURE, [0, 10, 60, 80, 0.8, 0])]);
    expect(merged).toHaveLength(2);
  });

  it('leaves out cut boxes of a tile inside a larger view, which shows such objects whole', () => {
    const whole: Row = [70, 30, 60, 30, 0.5, 0];
    const parts = [part(LEFT, [70, 30, 50, 30, 0.9, 0]), part(RIGHT, [80, 30, 50, 30, 0.9, 0])];
    expect(merge([...parts, part(PICTURE, whole)])).toEqual([[...whole]]);
    expect(merge([...parts, part(PICTURE)])).toEqual([]);
  });

  it('leaves out large boxes of a tile inside a larger view: parts of an object often look like a whole one', () => {
    // 61 of the 120 columns of the tile, although it touches none of its edges.
    const parts = [part(LEFT, [20, 30, 61, 30, 0.9, 0]), part(PICTURE, [20, 30, 100, 30, 0.7, 0])];
    expect(merge(parts)).toEqual([[20, 30, 100, 30, 0.7, 0]]);
    expect(merge([part(LEFT, [20, 30, 59, 30, 0.9, 0]), part(PICTURE)])).toHaveLength(1);
  });

  it('returns the best of all views by descending score, at most as many as allowed', () => {
    const boxes = (x: number, scores: number[]): Row[] => scores.map((score, i) => [x, i * 10, 5, 5, score, 0]);
    const parts = [part(LEFT, ...boxes(20, [0.9, 0.5, 0.3])), part(RIGHT, ...boxes(150, [0.8, 0.6, 0.2]))];
    expect(merge(parts, 4).map((row) => row[4])).toEqual([0.9, 0.8, 0.6, 0.5]);
  });

  it('returns the rows of a single view unchanged', () => {
    const only = part(LEFT, [100, 30, 20, 30, 0.9, 0]);
    expect(mergeViews([only], 100)).toBe(only.rows);
  });
});
