import { existsSync } from 'node:fs';

/** URL of this file; null in a bundle of CommonJS. */
const HERE: string | null = import.meta.url ?? null;
const IS_SOURCE = HERE?.endsWith('.ts') === true;
const WORKERS = IS_SOURCE ? '../../../dist/workers' : '../../../workers';

// While it is imported, since dependencies fail next in a bundle, with messages that do not help.
if (!IS_SOURCE) workerEntry('lane.thread');

/**
 * Returns the URL of a compiled entry point of `workers/`. When running from source (tests), it is taken from `dist/`,
 * since Node 20 cannot run TypeScript in a worker thread or child process.
 *
 * @param name - such as `lane.thread` or `tensorflow.process`.
 * @param here - see `HERE`.
 * @throws Error if there is none: this file was copied into a bundle.
 */
export function workerEntry(name: string, here = HERE): URL {
  const entry = here === null ? null : new URL(`${WORKERS}/${name}.js`, here);
  if (entry !== null && existsSync(entry)) return entry;
  throw new Error(
    `sightline: ${entry?.pathname ?? `workers/${name}.js`} is missing. Sightline starts threads from files of its package, so it cannot ` +
      'be a part of a bundle: make it external, with esbuild --external:sightline, with webpack ' +
      "externals: { sightline: 'module sightline' }; in a clone, run npm run build",
  );
}

/**
 * Limits of threads on the path of a frame. Little of what they make lives long, so a small young generation costs them nothing;
 * by default each would keep up to 48 MB of what is garbage already.
 */
export const THREAD_LIMITS = { maxYoungGenerationSizeMb: 6 } as const;
