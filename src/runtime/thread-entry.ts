import { workerEntry } from '../core/worker-entry.ts';

/** Where a thread's compiled entry point is. */
export function threadEntry(name: 'lane' | 'inference' | 'annotate'): URL {
  return workerEntry(`${name}.thread`);
}
