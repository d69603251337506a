import type { OutputTensor } from '../../../../src/base/core/model.ts';

type Outputs = ReadonlyMap<string, OutputTensor>;

/** Difference between two runs of a network. */
export interface Distance {
  /** Largest difference, relative to the largest number of the column. */
  readonly largest: number;
  readonly mean: number;
  /** Ratio of ranked rows without a similar row in the other ranking. */
  readonly lost: number;
}

/**
 * Compares outputs with the expected ones, for every picture. Most are compared number by number. Rows that the network ranks are
 * matched first, because rows with almost the same score can swap places.
 *
 * @param near - rows are similar if no number differs by more than this fraction of the largest number of its column.
 * @param isRanked - the last axis of each output is a row, and the network ranks rows.
 */
export function distanceOf(
  expected: readonly Outputs[],
  received: readonly Outputs[],
  isRanked: boolean,
  near = 2e-3,
): Distance {
  let [largest, sum, count, lost, rows] = [0, 0, 0, 0, 0];
  for (const [picture, outputs] of expected.entries()) {
    for (const [name, wanted] of outputs) {
      const got = received[picture]!.get(name)!;
      if (got.dims.join() !== wanted.dims.join())
        throw new RangeError(`${name}: [${got.dims}] is not [${wanted.dims}]`);
      const width = isRanked ? wanted.dims.at(-1)! : wanted.data.length;
      const scales = columnScales(wanted, width, !isRanked);
      const far = (a: number, b: number, column: number): number =>
        Math.abs(Number(wanted.data[a + column]) - Number(got.data[b + column])) / scales[column]!;
      for (let at = 0; at < wanted.data.length; at += width) {
        rows += 1;
        const match = !isRanked
          ? at
          : nearest(got.data.length, width, near, (other) => rowDistance(at, other, width, far));
        if (match === null) {
          lost += 1;
          continue;
        }
        for (let column = 0; column < width; column += 1) {
          const share = far(at, match, column);
          largest = Math.max(largest, Number.isNaN(share) ? Number.POSITIVE_INFINITY : share);
          sum += share;
          count += 1;
        }
      }
    }
  }
  return { largest, mean: sum / count, lost: lost / rows };
}

function rowDistance(
  a: number,
  b: number,
  width: number,
  far: (a: number, b: number, column: number) => number,
): number {
  let largest = 0;
  for (let column = 0; column < width; column += 1) largest = Math.max(largest, far(a, b, column));
  return largest;
}

function nearest(length: number, width: number, near: number, distance: (row: number) => number): number | null {
  let [best, least]: [number | null, number] = [null, near];
  for (let row = 0; row < length; row += width) {
    const far = distance(row);
    if (far <= least) [best, least] = [row, far];
  }
  return best;
}

function columnScales({ data }: OutputTensor, width: number, isOne: boolean): Float64Array {
  const scales = new Float64Array(width);
  for (let at = 0; at < data.length; at += 1)
    scales[at % width] = Math.max(scales[at % width]!, Math.abs(Number(data[at])));
  return isOne
    ? scales.fill(scales.reduce((most, value) => Math.max(most, value), 1e-6))
    : scales.map((scale) => Math.max(scale, 1e-6));
}
