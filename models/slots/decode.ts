import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { bestOf, packReadings, requireClasses } from '../readings.ts';

/**
 * A character in each slot, as networks for number plates have it: `scores` f32 [n, slots, characters], probabilities or logits. The last
 * character fills slots that are empty. One row for each of the others: slot, 0, 0, 0, probability, index of the character.
 */
export const decodeSlots: Decode = (outputs, batchSize, { classes }) => {
  const { data, dims } = findOutput(outputs, 'scores');
  const [, slots, count] = dims as [number, number, number];
  requireClasses('scores', count, classes.length);
  return Array.from({ length: batchSize }, (_, image) => {
    const readings = Array.from({ length: slots }, (_slot, place) => {
      const { index, probability } = bestOf(data as Float32Array, (image * slots + place) * count, count);
      return { place, score: probability, index };
    });
    return packReadings(readings.filter(({ index }) => index !== count - 1));
  });
};
