/** A larger batch must be faster per frame by this factor to justify its latency and its memory. */
const LEAST_GAIN_RATIO = 1.1;

/**
 * Returns the smallest batch size within 10 % of the best time per frame.
 *
 * @param sizes - at least one, ascending.
 * @param perInputMs - milliseconds per model input in a batch of a size.
 */
export function smallestGoodSize(sizes: readonly number[], perInputMs: (size: number) => number): number {
  const best = Math.min(...sizes.map(perInputMs));
  return sizes.find((size) => perInputMs(size) <= best * LEAST_GAIN_RATIO)!;
}
