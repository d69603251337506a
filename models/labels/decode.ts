import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { packReadings, requireClasses } from '../readings.ts';

/**
 * Labels that hold or do not, each by itself: `scores`, f32 [n, labels] or [n, labels, 1, 1], probabilities of a sigmoid. One row for each
 * label: its number, 0, 0, 0, probability, its number.
 */
export const decodeLabels: Decode = (outputs, batchSize, { classes }) => {
  const { data, dims } = findOutput(outputs, 'scores');
  const count = dims.slice(1).reduce((product, size) => product * size, 1);
  requireClasses('scores', count, classes.length);
  const scores = data as Float32Array;
  return Array.from({ length: batchSize }, (_, image) =>
    packReadings(
      Array.from({ length: count }, (_, index) => ({ place: index, score: scores[image * count + index]!, index })),
    ),
  );
};
