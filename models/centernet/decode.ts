import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';

const COLUMNS = 6;

/**
 * CenterNet: `detections` f32 [n, peaks, 6], x1, y1, x2, y2 in input pixels, score, class. Each row is a peak of the heat map,
 * so suppression is not needed.
 */
export const decodeCenternet: Decode = (outputs, batchSize, _spec, scoreThreshold) => {
  const { data, dims } = findOutput(outputs, 'detections', (shape) => shape.length === 3 && shape[2] === COLUMNS);
  const values = data as Float32Array;
  const peaks = dims[1]!;
  const images: Float32Array[] = [];
  for (let image = 0; image < batchSize; image += 1) {
    const first = image * peaks * COLUMNS;
    const rows = new Float32Array(peaks * COLUMNS);
    let end = 0;
    for (let at = first; at < first + peaks * COLUMNS; at += COLUMNS) {
      if (!(values[at + 4]! >= scoreThreshold)) continue;
      rows[end] = values[at]!;
      rows[end + 1] = values[at + 1]!;
      rows[end + 2] = values[at + 2]! - values[at]!;
      rows[end + 3] = values[at + 3]! - values[at + 1]!;
      rows[end + 4] = values[at + 4]!;
      rows[end + 5] = values[at + 5]!;
      end += COLUMNS;
    }
    images.push(rows.slice(0, end));
  }
  return images;
};
