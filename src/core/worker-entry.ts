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
