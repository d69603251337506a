import { join, resolve } from 'node:path';
import { sharedDir } from './shared.ts';

/** Kept between runs, and by a clean checkout's rules never committed. */
const TEST_CACHE = resolve('node_modules/.cache/sightline');

/** Where tests look for weights, and keep what they fetch and compile. */
export const modelPlaces = {
  modelPath: sharedDir === null ? [] : [join(sharedDir, 'models')],
  cacheDir: process.env.SIGHTLINE_CACHE_DIR ?? TEST_CACHE,
};
