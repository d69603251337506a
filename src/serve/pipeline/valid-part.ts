import type { z } from 'zod';

/** Each round removes what the one before has shown; a fault that is left then is not worth more. */
const MOST_ROUNDS = 8;

/**
 * Returns a document without what its schema refuses, so that the rest of it can be checked as well; null if nothing is left.
 * Required texts at its root that are missing become `-`; an entry of a list that lacks something is left out.
 *
 * @param document - plain data. It stays as it is.
 */
export function validPart<S extends z.ZodType>(schema: S, document: unknown): z.output<S> | null {
  let part: unknown;
  try {
    part = structuredClone(document);
  } catch {
    // A program handed over a function or a symbol.
    return null;
  }
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const result = schema.safeParse(part);
    if (result.success) return result.data;
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return null;
    for (const issue of result.error.issues) {
      if (issue.code === 'unrecognized_keys') for (const key of issue.keys) remove(part, [...issue.path, key]);
      else remove(part, issue.path);
    }
    part = withoutGaps(part);
  }
  return null;
}

function remove(root: object, path: readonly PropertyKey[]): void {
  const [key] = path.slice(-1);
  const parent = path.slice(0, -1).reduce<unknown>((value, part) => (value as Node | undefined)?.[part], root);
  if (key === undefined || typeof parent !== 'object' || parent === null) return;
  const node = parent as Node;
  if (node[key] !== undefined) node[key] = undefined;
  else if (path.length > 1) remove(root, path.slice(0, -1));
  else node[key] = '-';
}

type Node = Record<PropertyKey, unknown>;

function withoutGaps(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.filter((entry) => entry !== undefined).map(withoutGaps);
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries.map(([key, entry]) => [key, withoutGaps(entry)]));
}
