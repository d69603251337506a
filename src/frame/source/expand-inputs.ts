import { existsSync, statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { extname, isAbsolute, join, relative, sep } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { SightlineError } from '../../base/errors/sightline-error.ts';

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
  /** Receives each file of a folder that is left out because of its extension, or with the reason if it is no file that can be read. */
  readonly onLeftOut?: (path: string, why?: string) => void;
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
  const found: string[] = [];
  for (const path of await glob(input, { onlyFiles: true, absolute: isAbsolute(input) })) {
    const why = await whyNoFile(path);
    if (why === null) found.push(path);
    else options.onLeftOut?.(path, why);
  }
  if (found.length === 0) {
    throw new SightlineError('SOURCE_EMPTY', `${input}: no file matches this pattern`, { pattern: input });
  }
  return found.sort();
}

async function expandFolder(path: string, { pictures = false, onLeftOut }: ExpandOptions): Promise<string[]> {
  const extensions: readonly string[] = pictures ? [...VIDEO_EXTENSIONS, ...PICTURE_EXTENSIONS] : VIDEO_EXTENSIONS;
  const special = await specialFiles(path);
  for (const [name, why] of special) onLeftOut?.(join(path, name), why);
  // A link to a pipe or a device passes for a file there; reading it could wait for ever.
  const all = (await glob('**/*', { cwd: path, onlyFiles: true })).filter((name) => !special.has(name)).sort();
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

/** Returns what is no file that can be read, by name with the reason, in the order of the names. Like a search for files it leaves out hidden names. */
async function specialFiles(folder: string): Promise<ReadonlyMap<string, string>> {
  const found: [string, string][] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const name = relative(folder, join(entry.parentPath, entry.name));
    if (entry.isFile() || entry.isDirectory() || name.split(sep).some((part) => part.startsWith('.'))) continue;
    const why = await whyNoFile(join(folder, name));
    if (why !== null) found.push([name, why]);
  }
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function whyNoFile(path: string): Promise<string | null> {
  try {
    const stats = await stat(path);
    if (stats.isFile() || stats.isDirectory()) return null;
    return stats.isFIFO() ? 'a pipe' : stats.isSocket() ? 'a socket' : 'a device';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ELOOP' ? 'a link that leads nowhere' : `it cannot be examined (${code})`;
  }
}
