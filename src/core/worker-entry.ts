/**
 * Where a compiled entry point of `workers/` is. From the sources (tests) it is taken from `dist/`, since Node 20 cannot run
 * TypeScript on a thread or in a process of its own.
 *
 * @param name - such as `lane.thread` or `tensorflow.process`.
 */
export function workerEntry(name: string): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(`${isSource ? '../../dist/workers' : '../../workers'}/${name}.js`, import.meta.url);
}
