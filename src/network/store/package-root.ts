import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Finds the root folder of this package: the nearest parent with its package.json. The depth varies because the code runs from
 * `src/` and from `dist/src/`. @throws Error if there is none.
 */
export function packageRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const path = join(folder, 'package.json');
    if (existsSync(path) && (JSON.parse(readFileSync(path, 'utf8')) as { name?: string }).name === 'sightline')
      return folder;
    if (folder === dirname(folder)) throw new Error(`no package.json of sightline above ${start}`);
  }
}

/**
 * Path of the demonstration clip: a camera beside a street with two lanes, on which cars pass. 1280x720, 25 frames a second, 24 seconds, H.264; the
 * street is empty at both ends, so it loops without a jump.
 */
export function demoClip(): string {
  return join(packageRoot(), 'pipelines/street.mp4');
}
