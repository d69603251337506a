/** Columns of a row, as of boxes: here place, 0, 0, 0, score, index. */
const COLUMNS = 6;
const SUM_SLACK = 0.01;

/**
 * Finds the best of a row of scores, and how probable it is: as it stands if the network ends in a softmax, else after one.
 *
 * @param count - scores from `start` on.
 * @returns its index from 0, and its probability.
 */
export function bestOf(values: Float32Array, start: number, count: number): { index: number; probability: number } {
  let best = start;
  let sum = 0;
  let isProbability = true;
  for (let at = start; at < start + count; at += 1) {
    const value = values[at]!;
    if (value > values[best]!) best = at;
    if (value < 0 || value > 1) isProbability = false;
    sum += value;
  }
  if (isProbability && Math.abs(sum - 1) < SUM_SLACK) return { index: best - start, probability: values[best]! };
  let exponentials = 0;
  for (let at = start; at < start + count; at += 1) exponentials += Math.exp(values[at]! - values[best]!);
  return { index: best - start, probability: 1 / exponentials };
}

/** Packs what was read in a crop, in the order of the places. */
export function packReadings(readings: readonly { place: number; score: number; index: number }[]): Float32Array {
  const rows = new Float32Array(readings.length * COLUMNS);
  for (const [at, { place, score, index }] of readings.entries())
    rows.set([place, 0, 0, 0, score, index], at * COLUMNS);
  return rows;
}

/** Throws `RangeError` unless an output has as many scores for each place as the manifest has classes. */
export function requireClasses(name: string, found: number, expected: number): void {
  if (found !== expected)
    throw new RangeError(`output ${name}: expected ${expected} scores, as the manifest has classes; received ${found}`);
}
