import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';

const COLUMNS = 6;

/**
 * A vector that is near those of the same object: `vector` f32 [n, length], of any length but zero. Normalised to unit length, and packed
 * without gaps; NaN fills the last row.
 */
export const decodeEmbedding: Decode = (outputs, batchSize) => {
  const { data, dims } = findOutput(outputs, 'vector');
  const length = dims.slice(1).reduce((product, size) => product * size, 1);
  return Array.from({ length: batchSize }, (_, image) => {
    const vector = (data as Float32Array).subarray(image * length, (image + 1) * length);
    const norm = Math.hypot(...vector) || 1;
    const rows = new Float32Array(Math.ceil(length / COLUMNS) * COLUMNS).fill(Number.NaN);
    for (let at = 0; at < length; at += 1) rows[at] = vector[at]! / norm;
    return rows;
  });
};
