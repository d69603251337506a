import { existsSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { SightlineError } from '../errors/sightline-error.ts';

/** Extensions that count as video when a folder is read. A file given by name is tried whatever its extension. */
const VIDEO_EXTENSIONS = [
  'mp4',
  'm4v',
  'mov',
  'mkv',
  'webm',
  'avi',
  'ts',
  'm2ts',
  'mts',
  'mpg',
  'mpeg',
  'flv',
  'wmv',
  '3gp',
  'ogv',
  'mxf',
  'h264',
  'h265',
  'hevc',
  'y4m',
  'gif',
] as const;

/**
 * Expands files, folders (recursively) and glob patterns into a list of sources, in the order given, each group sorted by
 * name. Anything with a scheme is returned unchanged.
 *
 * @throws SOURCE_EMPTY if a folder or a pattern holds no video.
 */
export async function expandInputs(inputs: readonly string[]): Promise<string[]> {
  const groups = await Promise.all(inputs.map(expandInput));
  return groups.flat();
}

async function expandInput(input: string): Promise<string[]> {
  if (existsSync(input)) return statSync(input).isDirectory() ? expandFolder(input) : [input];
  if (/^[a-z][a-z0-9+.-]*:/i.test(input) || !isDynamicPattern(input)) return [input];
  // Relative patterns give relative paths: results name the inputs as the user did.
  const found = await glob(input, { onlyFiles: true, absolute: isAbsolute(input) });
  if (found.length === 0) {
    throw new SightlineError('SOURCE_EMPTY', `${input}: no file matches this pattern`, { pattern: input });
  }
  return found.sort();
}

async function expandFolder(path: string): Promise<string[]> {
  const pattern = `**/*.{${VIDEO_EXTENSIONS.join(',')}}`;
  const found = await glob(pattern, { cwd: path, onlyFiles: true, caseSensitiveMatch: false });
  if (found.length === 0) {
    throw new SightlineError(
      'SOURCE_EMPTY',
      `${path}: no video in this folder (looked for ${VIDEO_EXTENSIONS.slice(0, 6).join(', ')} and ${VIDEO_EXTENSIONS.length - 6} more endings)`,
      { path },
    );
  }
  return found.sort().map((name) => join(path, name));
}
