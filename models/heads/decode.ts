import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { bestOf, packReadings, requireClasses } from '../readings.ts';

/**
 * One or several heads, an output each: f32 [n, classes] or [n, classes, 1, 1], probabilities or logits. One row for each head: number of
 * the head, 0, 0, 0, probability, index among the classes of all heads in the order of `heads`.
 */
export const decodeHeads: Decode = (outputs, batchSize, { heads = [], classes }) => {
  const parts = heads.map((head) => {
    const { data, dims } = findOutput(outputs, head);
    return { scores: data as Float32Array, count: dims.slice(1).reduce((product, size) => product * size, 1) };
  });
  requireClasses(
    heads.join(', '),
    parts.reduce((sum, { count }) => sum + count, 0),
    classes.length,
  );
  return Array.from({ length: batchSize }, (_, image) => {
    let first = 0;
    const readings = parts.map(({ scores, count }, place) => {
      const { index, probability } = bestOf(scores, image * count, count);
      const reading = { place, score: probability, index: first + index };
      first += count;
      return reading;
    });
    return packReadings(readings);
  });
};
