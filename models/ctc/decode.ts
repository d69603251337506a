import type { Decode } from '../decoder.ts';
import { findOutput } from '../decoder.ts';
import { bestOf, packReadings, requireClasses } from '../readings.ts';

/** Between two characters, and index 0 of the scores: the classes of the manifest begin behind it. */
const BLANK = 0;

/**
 * Connectionist temporal classification: `scores` f32 [n, steps, 1 + characters], probabilities or logits. The best character of each
 * step, without repeats and blanks. One row for each character: step, 0, 0, 0, probability, index of the character.
 *
 * @see Graves et al., "Connectionist Temporal Classification" (2006), best path decoding.
 */
export const decodeCtc: Decode = (outputs, batchSize, { classes }) => {
  const { data, dims } = findOutput(outputs, 'scores');
  const [, steps, count] = dims as [number, number, number];
  requireClasses('scores', count - 1, classes.length);
  return Array.from({ length: batchSize }, (_, image) => {
    const readings = [];
    let before = BLANK;
    for (let place = 0; place < steps; place += 1) {
      const { index, probability } = bestOf(data as Float32Array, (image * steps + place) * count, count);
      if (index !== BLANK && index !== before) readings.push({ place, score: probability, index: index - 1 });
      before = index;
    }
    return packReadings(readings);
  });
};
