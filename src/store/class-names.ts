import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { SightlineError } from '../errors/sightline-error.ts';
import { packageRoot } from './package-root.ts';

/** Name of the list that is built in. */
export const COCO = 'coco';

/** COCO's category ids go up to 90; these were never used. */
const UNUSED_IDS: ReadonlySet<number> = new Set([12, 26, 29, 30, 45, 66, 68, 69, 71, 83]);
const LAST_ID = 90;

/** Reads a list of classes that comes with the program, as in `models/coco-80.yaml`. */
export async function readBuiltInClasses(list: string): Promise<string[]> {
  return parse(await readFile(join(packageRoot(), 'models', `${list}.yaml`), 'utf8')) as string[];
}

/**
 * Gives the names of COCO's classes as a network numbers them: 80 in a row, or, as networks do that give COCO's own
 * category ids, 90 from id 1, or 91 from id 0, with names for the ids that COCO never used.
 *
 * @returns null where COCO's classes cannot be numbered like that.
 */
export async function cocoClasses(count: number): Promise<string[] | null> {
  const names = await readBuiltInClasses('coco-80');
  if (count === names.length) return names;
  if (count !== LAST_ID && count !== LAST_ID + 1) return null;
  let next = 0;
  return Array.from({ length: count }, (_, index) => {
    const id = index + LAST_ID + 1 - count;
    return id === 0 || UNUSED_IDS.has(id) ? `unused ${id}` : names[next++]!;
  });
}

/**
 * Reads a user's list of class names, one a line, in the order of the class numbers; blank lines at the end are ignored.
 *
 * Throws COMMAND_INVALID where the file cannot be read, is empty, is no text, or has a blank line between names.
 */
export async function readLabels(path: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw invalid(path, `cannot be read (${code === 'ENOENT' ? 'no such file' : message})`);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what tells text from bytes.
  if (/[\0-\x08\x0e-\x1f]|\ufffd/.test(text)) throw invalid(path, 'expected a text file, received bytes');
  const names = text
    .replace(/^\ufeff/, '')
    .trimEnd()
    .split(/\r?\n/)
    .map((line) => line.trim());
  const blank = names.indexOf('');
  if (blank !== -1) throw invalid(path, `expected a class name on each line, line ${blank + 1} is blank`);
  return names;
}

function invalid(path: string, problem: string): SightlineError {
  return new SightlineError('COMMAND_INVALID', `--labels ${path}: ${problem}`, { path });
}
