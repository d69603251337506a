/**
 * Returns the URL of a compiled entry point of `workers/`. When running from source (tests), it is taken from `dist/`,
 * since Node 20 cannot run TypeScript in a worker thread or child process.
 *
 * @param name - such as `lane.thread` or `tensorflow.process`.
 */
export function workerEntry(name: string): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(`${isSource ? '../../dist/workers' : '../../workers'}/${name}.js`, import.meta.url);
}

/**
 * Limits of threads on the path of a frame. Little of what they make lives long, so a small young generation costs them nothing;
 * by default each would keep up to 48 MB of what is garbage already.
 */
export const THREAD_LIMITS = { maxYoungGenerationSizeMb: 6 } as const;
