import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { LAST_COCO_ID, UNUSED_COCO_IDS } from '../../base/core/coco-ids.ts';
import { MOST_BYTES, readGivenText } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { packageRoot } from './package-root.ts';

/** Name of the built-in list. */
export const COCO = 'coco';

/** Reads a built-in list of classes, such as `models/coco-80.yaml`. */
export async function readBuiltInClasses(list: string): Promise<string[]> {
  return parse(await readFile(join(packageRoot(), 'models', `${list}.yaml`), 'utf8')) as string[];
}

/**
 * Returns the names of COCO's classes for a network with `count` classes: 80 without gaps; or, for networks that use COCO's
 * category ids, 90 from id 1 or 91 from id 0, with placeholder names for the ids that COCO never used.
 *
 * @returns null for any other count.
 */
export async function cocoClasses(count: number): Promise<string[] | null> {
  const names = await readBuiltInClasses('coco-80');
  if (count === names.length) return names;
  if (count !== LAST_COCO_ID && count !== LAST_COCO_ID + 1) return null;
  let next = 0;
  return Array.from({ length: count }, (_, index) => {
    const id = index + LAST_COCO_ID + 1 - count;
    return id === 0 || UNUSED_COCO_IDS.has(id) ? `unused ${id}` : names[next++]!;
  });
}

/**
 * Reads a user's list of class names, one per line, in the order of the class ids. Blank lines at the end are ignored.
 *
 * @param within - see `GivenFile`.
 * @throws COMMAND_INVALID if the file cannot be read, is empty, is not text, or has a blank line between names.
 */
export async function readLabels(path: string, within?: readonly string[]): Promise<string[]> {
  const given = {
    code: 'COMMAND_INVALID',
    as: `--labels ${path}: cannot be read`,
    mostBytes: MOST_BYTES.settings,
  } as const;
  const text = await readGivenText(path, { ...given, within });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters distinguish binary files from text.
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
