import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { iouXywh } from '../../../../src/base/geometry/iou.ts';
import { selectDetections } from '../../../../src/base/geometry/nms.ts';

type Row = [x: number, y: number, w: number, h: number, score: number, classId: number];

/** Counts shared pixels of boxes with integer corners: slow, but independent of the formula. */
function pixelIou(a: Row, b: Row): number {
  let shared = 0;
  for (let x = a[0]; x < a[0] + a[2]; x++)
    for (let y = a[1]; y < a[1] + a[3]; y++)
      if (x >= b[0] && x < b[0] + b[2] && y >= b[1] && y < b[1] + b[3]) shared += 1;
  return shared / (a[2] * a[3] + b[2] * b[3] - shared);
}

/** Suppression by definition: keep the strongest box left, remove all that it covers, repeat. */
function bruteForce(rows: readonly Row[], threshold: number): Row[] {
  let left = rows.map((row, i) => ({ row, i })).sort((a, b) => b.row[4] - a.row[4] || a.i - b.i);
  const kept: Row[] = [];
  while (left.length > 0) {
    const [{ row }] = left as [{ row: Row; i: number }];
    kept.push(row);
    left = left.slice(1).filter((other) => other.row[5] !== row[5] || pixelIou(row, other.row) <= threshold);
  }
  return kept;
}

const rowArbitrary = fc.tuple(
  fc.nat(12),
  fc.nat(12),
  fc.integer({ min: 1, max: 10 }),
  fc.integer({ min: 1, max: 10 }),
  fc.integer({ min: 1, max: 16 }).map((n) => n / 16),
  fc.nat(2),
) as fc.Arbitrary<Row>;

describe('iouXywh', () => {
  it('is the share of common pixels', () => {
    fc.assert(
      fc.property(rowArbitrary, rowArbitrary, (a, b) => {
        expect(iouXywh(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3])).toBeCloseTo(pixelIou(a, b), 12);
      }),
    );
  });

  it('is 0 for boxes that only touch and for boxes without area', () => {
    expect(iouXywh(0, 0, 2, 2, 2, 0, 2, 2)).toBe(0);
    expect(iouXywh(0, 0, 0, 0, 0, 0, 0, 0)).toBe(0);
  });
});

describe('selectDetections', () => {
  it('equals greedy class-wise suppression by definition', () => {
    fc.assert(
      fc.property(
        fc.array(rowArbitrary, { maxLength: 14 }),
        fc.constantFrom(0, 0.3, 0.45, 0.65, 1),
        (rows, threshold) => {
          const selected = selectDetections(Float32Array.from(rows.flat()), threshold, 100);
          expect(Array.from(selected)).toEqual(bruteForce(rows, threshold).flat());
        },
      ),
    );
  });

  it('without a threshold keeps all rows, sorted by score, ties in input order', () => {
    const rows = Float32Array.of(...[0, 0, 1, 1, 0.5, 1], ...[0, 0, 1, 1, 0.75, 2], ...[0, 0, 1, 1, 0.5, 3]);
    expect(Array.from(selectDetections(rows, null, 100).filter((_, i) => i % 6 === 5))).toEqual([2, 1, 3]);
  });

  it('keeps the strongest if there are more than the limit, and does not change its input', () => {
    const rows = Float32Array.of(...[0, 0, 1, 1, 0.25, 1], ...[5, 5, 1, 1, 0.75, 2], ...[9, 9, 1, 1, 0.5, 3]);
    const before = Array.from(rows);
    expect(Array.from(selectDetections(rows, 0.5, 2).filter((_, i) => i % 6 === 5))).toEqual([2, 3]);
    expect(Array.from(rows)).toEqual(before);
    expect(selectDetections(rows, 0.5, 0)).toHaveLength(0);
    expect(selectDetections(new Float32Array(0), 0.5, 9)).toHaveLength(0);
  });
});
