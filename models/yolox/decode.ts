import type { ModelSpec, OutputTensor } from '../../src/base/core/model.ts';
import type { Decode } from '../decoder.ts';
import { findOutput, indexOfLargest } from '../decoder.ts';
import { CellRows } from './cell-rows.ts';

/** Column of the first class score, after the box (dx, dy, log width, log height) and the objectness. */
const FIRST_CLASS = 5;

/**
 * YOLOX, on grids of strides 8, 16 and 32 in row-major order. centre = (cell + d) * stride, size = exp(log size) * stride,
 * score = objectness * class (Ge et al., "YOLOX", section 2; the published demo decodes the same way). Reports the best class of
 * a cell, or with `classesPerBox: all` each class that reaches the threshold.
 *
 * As published: `predictions` f32 [n, cells, 5 + classes]; objectness and class scores after the sigmoid.
 * Gated (see `gateClasses` in the compiler): `cells` f32 [n, 5, cells], and for the cells that pass, `passing` i64 [k, 2] with
 * picture and cell, and `classes` f32 [k, classes]; objectness and class scores before the sigmoid.
 *
 * Objectness is an upper bound of the score, so the class scores of most cells are never read.
 */
export const decodeYolox: Decode = (outputs, batchSize, spec, scoreThreshold) => {
  const cells = outputs.get('cells');
  return cells === undefined
    ? decodePublished(outputs, batchSize, spec, scoreThreshold)
    : decodeGated(cells, outputs, batchSize, spec, scoreThreshold);
};

const decodePublished: Decode = (outputs, batchSize, spec, scoreThreshold) => {
  const { data, dims } = findOutput(outputs, 'predictions', (shape) => shape.length === 3 && shape[2]! > FIRST_CLASS);
  const [, cells, width] = dims as [number, number, number];
  const values = data as Float32Array;
  const rows = new CellRows(spec, cells, cells);
  const isBestOnly = spec.classesPerBox === 'best';
  const images: Float32Array[] = [];
  let at = 0;
  for (let image = 0; image < batchSize; image += 1) {
    for (let cell = 0; cell < cells; cell += 1, at += width) {
      const objectness = values[at + 4]!;
      if (!(objectness >= scoreThreshold)) continue;
      const first = at + FIRST_CLASS;
      const from = isBestOnly ? indexOfLargest(values, first, at + width) : first;
      const to = isBestOnly ? from + 1 : at + width;
      for (let index = from; index < to; index += 1) {
        const score = objectness * values[index]!;
        if (!(score >= scoreThreshold)) continue;
        rows.add(cell, values[at]!, values[at + 1]!, values[at + 2]!, values[at + 3]!, score, index - first);
      }
    }
    images.push(rows.take());
  }
  return images;
};

function decodeGated(
  { data, dims }: OutputTensor,
  outputs: ReadonlyMap<string, OutputTensor>,
  batchSize: number,
  spec: ModelSpec,
  scoreThreshold: number,
): Float32Array[] {
  const [, planes, cells] = dims as [number, number, number];
  const values = data as Float32Array;
  const passing = findOutput(outputs, 'passing').data as BigInt64Array;
  const classes = findOutput(outputs, 'classes');
  const width = classes.dims[1]!;
  const logits = classes.data as Float32Array;
  const rows = new CellRows(spec, cells, passing.length / 2);
  const isBestOnly = spec.classesPerBox === 'best';
  const images: Float32Array[] = [];
  for (let image = 0; image < batchSize; image += 1) {
    for (let row = 0; row * 2 < passing.length; row += 1) {
      if (Number(passing[row * 2]) !== image) continue;
      const cell = Number(passing[row * 2 + 1]);
      const at = image * planes * cells + cell;
      const objectness = sigmoid(values[at + 4 * cells]!);
      const [dx, dy, logWidth, logHeight] = [at, at + cells, at + 2 * cells, at + 3 * cells];
      const first = row * width;
      const from = isBestOnly ? indexOfLargest(logits, first, first + width) : first;
      const to = isBestOnly ? from + 1 : first + width;
      for (let index = from; index < to; index += 1) {
        const score = objectness * sigmoid(logits[index]!);
        if (!(score >= scoreThreshold)) continue;
        rows.add(cell, values[dx]!, values[dy]!, values[logWidth]!, values[logHeight]!, score, index - first);
      }
    }
    images.push(rows.take());
  }
  return images;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
