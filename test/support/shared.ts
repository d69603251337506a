import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/**
 * Folder with real models, clips and ground truth, where the machine has one; null where it has none. Suites that need
 * it use `describe.skipIf(sharedDir === null)`, and say so in their title.
 */
export const sharedDir: string | null = findShared();

function findShared(): string | null {
  const folder = resolve(process.env.SIGHTLINE_SHARED ?? '../shared');
  return existsSync(`${folder}/models`) ? folder : null;
}
