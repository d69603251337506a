import type { ModelSpec } from '../../src/core/model.ts';
import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';

const COLUMNS = 6;
/** Box (dx, dy, log width, log height) and objectness come before the class scores. */
const FIRST_CLASS = 5;
const STRIDES_PX = [8, 16, 32] as const;

/**
 * YOLOX: `predictions` f32 [n, cells, 5 + classes] on the grids of strides 8, 16 and 32, row by row; objectness and
 * class scores have been through their sigmoid. centre = (cell + d) * stride, size = exp(log size) * stride, score =
 * objectness * best class (Ge et al., "YOLOX", section 2; the published demo decodes the same).
 *
 * Objectness alone bounds the score from above, so the class scores of most cells are never read.
 */
export const decodeYolox: Decode = (outputs, batchSize, spec, scoreThreshold) => {
  const { data, dims } = findOutput(outputs, 'predictions', (shape) => shape.length === 3 && shape[2]! > FIRST_CLASS);
  const [, cells, width] = dims as [number, number, number];
  requireGrid(spec, cells);
  const values = data as Float32Array;
  const images: Float32Array[] = [];
  const rows = new Float32Array(cells * COLUMNS);
  for (let image = 0; image < batchSize; image += 1) {
    let end = 0;
    let at = image * cells * width;
    for (const stride of STRIDES_PX) {
      const columns = spec.input.width / stride;
      const lines = spec.input.height / stride;
      for (let line = 0; line < lines; line += 1) {
        for (let column = 0; column < columns; column += 1, at += width) {
          const objectness = values[at + 4]!;
          if (!(objectness >= scoreThreshold)) continue;
          let best = at + FIRST_CLASS;
          for (let index = best + 1; index < at + width; index += 1) if (values[index]! > values[best]!) best = index;
          const score = objectness * values[best]!;
          if (!(score >= scoreThreshold)) continue;
          const boxWidth = Math.exp(values[at + 2]!) * stride;
          const boxHeight = Math.exp(values[at + 3]!) * stride;
          rows[end] = (column + values[at]!) * stride - boxWidth / 2;
          rows[end + 1] = (line + values[at + 1]!) * stride - boxHeight / 2;
          rows[end + 2] = boxWidth;
          rows[end + 3] = boxHeight;
          rows[end + 4] = score;
          rows[end + 5] = best - at - FIRST_CLASS;
          end += COLUMNS;
        }
      }
    }
    images.push(rows.slice(0, end));
  }
  return images;
};

function requireGrid(spec: ModelSpec, cells: number): void {
  const { width, height } = spec.input;
  const expected = STRIDES_PX.reduce((sum, stride) => sum + (width / stride) * (height / stride), 0);
  if (cells !== expected) {
    throw new RangeError(
      `${spec.name}: expected ${expected} cells for an input of ${width}x${height}, received ${cells}`,
    );
  }
}
