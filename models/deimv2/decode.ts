import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';

const COLUMNS = 6;

/**
 * DEIMv2: `labels` i64 [n, queries], `boxes` f32 [n, queries, 4] x1, y1, x2, y2 in input pixels (the compiler's front sets the
 * picture size to the input size), `scores` f32 [n, queries]. One box per query, so suppression is not needed.
 */
export const decodeDeimv2: Decode = (outputs, batchSize, _spec, scoreThreshold) => {
  const boxes = findOutput(outputs, 'boxes').data as Float32Array;
  const scoreTensor = findOutput(outputs, 'scores');
  const scores = scoreTensor.data as Float32Array;
  const labels = findOutput(outputs, 'labels').data as BigInt64Array | Int32Array;
  const queries = scoreTensor.dims[1]!;
  const images: Float32Array[] = [];
  for (let image = 0; image < batchSize; image += 1) {
    const rows = new Float32Array(queries * COLUMNS);
    let end = 0;
    for (let query = image * queries; query < (image + 1) * queries; query += 1) {
      const score = scores[query]!;
      if (!(score >= scoreThreshold)) continue;
      const box = query * 4;
      rows[end] = boxes[box]!;
      rows[end + 1] = boxes[box + 1]!;
      rows[end + 2] = boxes[box + 2]! - boxes[box]!;
      rows[end + 3] = boxes[box + 3]! - boxes[box + 1]!;
      rows[end + 4] = score;
      rows[end + 5] = Number(labels[query]!);
      end += COLUMNS;
    }
    images.push(rows.slice(0, end));
  }
  return images;
};
