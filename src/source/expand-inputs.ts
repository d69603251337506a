import { existsSync, statSync } from 'node:fs';
import { extname, isAbsolute, join } from 'node:path';
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

/** Extensions of still pictures. */
export const PICTURE_EXTENSIONS = ['jpg', 'jpeg', 'png', 'webp'] as const;

export interface ExpandOptions {
  /** Takes the pictures of a folder as well. Default false. */
  readonly pictures?: boolean;
  /** Receives each file of a folder that is left out because of its extension. */
  readonly onLeftOut?: (path: string) => void;
}

/**
 * Expands files, folders (recursively) and glob patterns into a list of sources, in the order given, each group sorted by
 * name. Anything with a scheme is returned unchanged.
 *
 * @throws SOURCE_EMPTY if a folder or a pattern holds no input.
 */
export async function expandInputs(inputs: readonly string[], options: ExpandOptions = {}): Promise<string[]> {
  const groups: string[][] = [];
  for (const input of inputs) groups.push(await expandInput(input, options));
  return groups.flat();
}

async function expandInput(input: string, options: ExpandOptions): Promise<string[]> {
  if (existsSync(input)) return statSync(input).isDirectory() ? expandFolder(input, options) : [input];
  if (/^[a-z][a-z0-9+.-]*:/i.test(input) || !isDynamicPattern(input)) return [input];
  // Relative patterns give relative paths: results name the inputs as the user did.
  const found = await glob(input, { onlyFiles: true, absolute: isAbsolute(input) });
  if (found.length === 0) {
    throw new SightlineError('SOURCE_EMPTY', `${input}: no file matches this pattern`, { pattern: input });
  }
  return found.sort();
}

async function expandFolder(path: string, { pictures = false, onLeftOut }: ExpandOptions): Promise<string[]> {
  const extensions: readonly string[] = pictures ? [...VIDEO_EXTENSIONS, ...PICTURE_EXTENSIONS] : VIDEO_EXTENSIONS;
  const all = (await glob('**/*', { cwd: path, onlyFiles: true })).sort();
  const isWanted = (name: string): boolean => extensions.includes(extname(name).slice(1).toLowerCase());
  for (const name of all) if (!isWanted(name)) onLeftOut?.(join(path, name));
  const found = all.filter(isWanted);
  if (found.length === 0) {
    const what = pictures ? 'no video or picture' : 'no video';
    throw new SightlineError(
      'SOURCE_EMPTY',
      `${path}: ${what} in this folder (looked for ${extensions.slice(0, 6).join(', ')} and ${extensions.length - 6} more endings)`,
      { path },
    );
  }
  return found.map((name) => join(path, name));
}
