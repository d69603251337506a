/**
 * Where a thread's compiled entry point is. From the sources (tests) it is taken from `dist/`, since Node 20 cannot run
 * TypeScript on a worker thread.
 */
export function threadEntry(name: 'lane' | 'inference' | 'annotate'): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(`${isSource ? '../../dist/workers' : '../../workers'}/${name}.thread.js`, import.meta.url);
}
