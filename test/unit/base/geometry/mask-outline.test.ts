import { describe, expect, it } from 'vitest';
import { outlineOf } from '../../../../src/base/geometry/mask-outline.ts';
import { bitmapOfRuns, runsOfBitmap, runsOfPolygons } from '../../../../src/base/geometry/rle.ts';

function runsOf(...rows: readonly string[]) {
  const bitmap = Uint8Array.from(rows.join(''), (pixel) => (pixel === '#' ? 1 : 0));
  return runsOfBitmap(bitmap, rows.length, rows[0]!.length);
}

describe('the outline of a mask', () => {
  it('has the corners of its largest part, clockwise', () => {
    expect(outlineOf(runsOf('.....', '.##..', '.###.', '....#'))).toEqual([1, 1, 3, 1, 3, 2, 4, 2, 4, 3, 1, 3]);
  });

  it('fills holes', () => {
    expect(outlineOf(runsOf('###', '#.#', '###'))).toEqual([0, 0, 3, 0, 3, 3, 0, 3]);
  });

  it('keeps parts that touch at a corner apart', () => {
    expect(outlineOf(runsOf('##..', '##..', '..#.'))).toEqual([0, 0, 2, 0, 2, 2, 0, 2]);
    expect(outlineOf(runsOf('..##', '..##', '.#..'))).toEqual([2, 0, 4, 0, 4, 2, 2, 2]);
  });

  it('is empty for an empty mask', () => {
    expect(outlineOf(runsOf('....', '....'))).toEqual([]);
  });

  it('of a whole shape, drawn again, is the shape', () => {
    const shape = runsOfPolygons([[3, 2, 17, 4, 15, 13, 9, 8, 2, 12]], 15, 20);
    expect(bitmapOfRuns(runsOfPolygons([outlineOf(shape)], 15, 20))).toEqual(bitmapOfRuns(shape));
  });
});
