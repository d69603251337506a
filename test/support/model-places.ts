import { delimiter, join, resolve } from 'node:path';
import { sharedDir } from './shared.ts';

/** Kept between runs, and by a clean checkout's rules never committed. */
const TEST_CACHE = resolve('node_modules/.cache/sightline');
const named = (process.env.SIGHTLINE_MODEL_PATH ?? '').split(delimiter).filter((folder) => folder !== '');

/** Where tests look for weights, and keep what they fetch and compile. */
export const modelPlaces = {
  modelPath: [...named, ...(sharedDir === null ? [] : [join(sharedDir, 'models')])],
  cacheDir: process.env.SIGHTLINE_CACHE_DIR ?? TEST_CACHE,
};
