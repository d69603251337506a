import { MOST_BYTES, readGivenText } from '../disk/given-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { CocoBox } from './coco-dataset.ts';

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
    throw new SightlineError(
      'DATASET_INVALID',
      `${what} file ${path}: expected JSON, but ${reason}${hint}`,
      { path },
      {
        cause,
      },
    );
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

  /** Returns the whole number at `key`. */
  integer(key: string): number {
    const value = this.#fields[key];
    if (!Number.isSafeInteger(value)) throw this.#mismatch(key, 'a whole number', value);
    return value as number;
  }

  /** Returns the finite number at `key`. */
  number(key: string): number {
    const value = this.#fields[key];
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.#mismatch(key, 'a number', value);
    return value;
  }

  text(key: string): string {
    const value = this.#fields[key];
    if (typeof value !== 'string') throw this.#mismatch(key, 'a string', value);
    return value;
  }

  /** Returns the flag at `key`, written as 0, 1, true or false; false if absent. */
  flag(key: string): boolean {
    const value = this.#fields[key];
    if (value === undefined || value === 0 || value === false) return false;
    if (value === 1 || value === true) return true;
    throw this.#mismatch(key, '0 or 1', value);
  }

  list(key: string): readonly unknown[] {
    const value = this.#fields[key];
    if (!Array.isArray(value)) throw this.#mismatch(key, 'a list', value);
    return value;
  }

  /** Returns a list of strings; undefined if absent. */
  optionalTexts(key: string): readonly string[] | undefined {
    const value = this.#fields[key];
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.some((each) => typeof each !== 'string'))
      throw this.#mismatch(key, 'a list of strings', value);
    return value as string[];
  }

  /** Returns `[x, y, width, height]`; width and height are not negative. */
  box(key: string): CocoBox {
    const value = this.#fields[key];
    const isBox = Array.isArray(value) && value.length === 4 && value.every(Number.isFinite);
    if (!isBox || value[2] < 0 || value[3] < 0) {
      throw this.#mismatch(key, '[x, y, width, height] with a size that is not negative', value);
    }
    return value as unknown as CocoBox;
  }

  #mismatch(key: string, expected: string, received: unknown): SightlineError {
    return invalid(this.path, this.place === '' ? key : `${this.place}.${key}`, expected, received);
  }
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
