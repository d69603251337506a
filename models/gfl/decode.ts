import type { ModelSpec, OutputTensor } from '../../src/base/core/model.ts';
import type { Decode } from '../decoder.ts';
import { findOutput, indexOfLargest } from '../decoder.ts';
import { RowList } from '../row-list.ts';

/** Grid strides of this family; each network has some of them. */
const STRIDES_PX = [8, 16, 32, 64, 128] as const;

/** Initial capacity: the rows of a busy picture before suppression. */
const INITIAL_ROWS = 512;

/**
 * Detectors with a generalised focal loss head: PicoDet, NanoDet. For each stride S `scores-S` f32 [n, cells, classes] after the
 * sigmoid, and `distances-S` f32 [n, cells, 4 * bins], with cells in row-major order.
 *
 * The distance from the centre of the cell, (column + 0.5, row + 0.5) strides, to a side (left, top, right, bottom) is the mean
 * of the side's softmax distribution over 0 .. bins - 1, in strides (Li et al., "Generalized Focal Loss", section 3.2).
 */
export const decodeGfl: Decode = (outputs, batchSize, spec, scoreThreshold) => {
  const levels = findLevels(outputs, spec);
  const rows = new RowList(INITIAL_ROWS);
  const images: Float32Array[] = [];
  for (let image = 0; image < batchSize; image += 1) {
    for (const level of levels) addLevel(rows, level, image, spec, scoreThreshold);
    images.push(rows.take());
  }
  return images;
};

/** The grid of one stride. */
interface Level {
  readonly stridePx: number;
  readonly columns: number;
  readonly cells: number;
  readonly classes: number;
  readonly bins: number;
  readonly scores: Float32Array;
  readonly distances: Float32Array;
}

function findLevels(outputs: ReadonlyMap<string, OutputTensor>, { name, input }: ModelSpec): Level[] {
  const levels = STRIDES_PX.filter((stride) => outputs.has(`scores-${stride}`)).map((stridePx) => {
    const scores = findOutput(outputs, `scores-${stridePx}`);
    const distances = findOutput(outputs, `distances-${stridePx}`);
    const columns = Math.ceil(input.width / stridePx);
    const cells = columns * Math.ceil(input.height / stridePx);
    for (const { dims } of [scores, distances]) {
      if (dims[1] === cells) continue;
      throw new RangeError(
        `${name}: expected ${cells} cells of ${stridePx} px for an input of ${input.width}x${input.height}, received ${dims[1]}`,
      );
    }
    return {
      stridePx,
      columns,
      cells,
      classes: scores.dims[2]!,
      bins: distances.dims[2]! / 4,
      scores: scores.data as Float32Array,
      distances: distances.data as Float32Array,
    };
  });
  // Throws an error that lists the received outputs.
  if (levels.length === 0) findOutput(outputs, `scores-${STRIDES_PX[0]}`);
  return levels;
}

function addLevel(rows: RowList, level: Level, image: number, spec: ModelSpec, scoreThreshold: number): void {
  const { cells, classes, scores } = level;
  const isBestOnly = spec.classesPerBox === 'best';
  for (let cell = 0; cell < cells; cell += 1) {
    const first = (image * cells + cell) * classes;
    const from = isBestOnly ? indexOfLargest(scores, first, first + classes) : first;
    const to = isBestOnly ? from + 1 : first + classes;
    // The same for all classes of a cell.
    let box: CellBox | null = null;
    for (let index = from; index < to; index += 1) {
      const score = scores[index]!;
      if (!(score >= scoreThreshold)) continue;
      box ??= boxOf(level, image, cell);
      rows.add(box.x, box.y, box.width, box.height, score, index - first);
    }
  }
}

interface CellBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Returns the box of a cell in pixels of the input, from the distances of its sides. */
function boxOf({ stridePx, columns, cells, bins, distances }: Level, image: number, cell: number): CellBox {
  const side = (image * cells + cell) * 4 * bins;
  const left = meanBin(distances, side, bins);
  const top = meanBin(distances, side + bins, bins);
  return {
    x: ((cell % columns) + 0.5 - left) * stridePx,
    y: (Math.floor(cell / columns) + 0.5 - top) * stridePx,
    width: (left + meanBin(distances, side + 2 * bins, bins)) * stridePx,
    height: (top + meanBin(distances, side + 3 * bins, bins)) * stridePx,
  };
}

/** Returns the mean of 0 .. bins - 1 under the softmax of `bins` numbers. */
function meanBin(values: Float32Array, start: number, bins: number): number {
  let largest = values[start]!;
  for (let bin = 1; bin < bins; bin += 1) largest = Math.max(largest, values[start + bin]!);
  let sum = 0;
  let weighted = 0;
  for (let bin = 0; bin < bins; bin += 1) {
    const share = Math.exp(values[start + bin]! - largest);
    sum += share;
    weighted += share * bin;
  }
  return weighted / sum;
}
