import type { Box } from '../../base/core/detection.ts';
import { MOST_BYTES, readGivenText } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';

/**
 * Reads a whole JSON file.
 *
 * @param what - the kind of file, e.g. `annotations`, for the message.
 * @throws DATASET_INVALID if it cannot be read or is not JSON.
 */
export async function readJson(path: string, what: string): Promise<unknown> {
  const as = `${what} file ${path}: cannot be read`;
  const text = await readGivenText(path, { code: 'DATASET_INVALID', as, mostBytes: MOST_BYTES.json });
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const hint = /\b(NaN|Infinity)\b/.test(text) ? ' (NaN and Infinity are not JSON; Python writes them)' : '';
    const message = `${what} file ${path}: expected JSON, but ${reason}${hint}`;
    throw new SightlineError('DATASET_INVALID', message, { path }, { cause });
  }
}

/** One object in a JSON file. Error messages name the file and the object's place in it. */
export class JsonEntry {
  readonly path: string;
  /** e.g. `annotations[12]`; empty for the whole document. */
  readonly place: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  /** @throws DATASET_INVALID if `value` is not an object. */
  constructor(path: string, place: string, value: unknown) {
    this.path = path;
    this.place = place;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw invalid(path, place, 'an object', value);
    }
    this.#fields = value as Record<string, unknown>;
  }

  has(key: string): boolean {
    return this.#fields[key] !== undefined;
  }

  integer(key: string): number {
    return this.field(key, 'a whole number', Number.isSafeInteger);
  }

  /** Returns a finite number. */
  number(key: string): number {
    return this.field(key, 'a number', Number.isFinite);
  }

  text(key: string): string {
    return this.field(key, 'a string', (value) => typeof value === 'string');
  }

  /** Returns a flag, written as 0, 1, true or false; false if absent. */
  flag(key: string): boolean {
    return Boolean(this.field(key, '0 or 1', (value) => [undefined, 0, 1, false, true].includes(value as 0)));
  }

  list(key: string): readonly unknown[] {
    return this.field(key, 'a list', Array.isArray);
  }

  optionalTexts(key: string): readonly string[] | undefined {
    return this.field(key, 'a list of strings', (value) => value === undefined || isTexts(value));
  }

  /** Returns `[x, y, width, height]`; width and height are not negative. */
  box(key: string): Box {
    return this.field(
      key,
      '[x, y, width, height] with a size that is not negative',
      (value) => isNumbers(value) && value.length === 4 && value[2]! >= 0 && value[3]! >= 0,
    );
  }

  /** Returns a field as it is. @throws DATASET_INVALID if it is not as expected. */
  field<T>(key: string, expected: string, isExpected: (value: unknown) => boolean): T {
    const value = this.#fields[key];
    if (!isExpected(value)) throw invalid(this.path, this.place === '' ? key : `${this.place}.${key}`, expected, value);
    return value as T;
  }
}

export function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(Number.isFinite);
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

/** Creates a DATASET_INVALID error in the common format. */
export function invalid(path: string, place: string, expected: string, received: unknown): SightlineError {
  const where = place === '' ? path : `${path}: ${place}`;
  return new SightlineError('DATASET_INVALID', `${where}: expected ${expected}, received ${describe(received)}`, {
    path,
    place,
    expected,
  });
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value) && value.length > 4) return `a list of ${value.length}`;
  const text = JSON.stringify(value);
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && text.length > 60) {
    return `an object with ${Object.keys(value).slice(0, 6).join(', ')}`;
  }
  return `${text.length > 60 ? `${text.slice(0, 57)}...` : text} (${value === null ? 'null' : typeof value})`;
}
