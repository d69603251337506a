import { seededRandom } from '../../src/base/core/seeded-random.ts';

/** Returns a generator of standard normal numbers (Box and Muller). */
export function gaussian(seed: number): () => number {
  const random = seededRandom(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
