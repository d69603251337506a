import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { SightlineError } from '../errors/sightline-error.ts';

/**
 * Checks a value against a schema and complains about the first thing that is wrong: where it is, what was expected,
 * what came and, for an unknown key, the nearest one that exists.
 *
 * @param where - what the value is, for the message: a file name, `stream`, `request`.
 * @throws CONFIG_INVALID
 */
export function check<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const complaints = result.error.issues.map((issue) => complain(issue, value, schema));
  throw new SightlineError('CONFIG_INVALID', `${where}: ${complaints.join('; ')}`, { where });
}

function complain(issue: z.core.$ZodIssue, root: unknown, schema: z.ZodType): string {
  const path = pathText(issue.path);
  const received = describe(at(root, issue.path));
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => `${join(path, key)}: unknown key${nearest(key, known)}`).join('; ');
  }
  return `${path === '' ? 'document' : path}: expected ${expected(issue)}, received ${received}`;
}

function nearest(key: string, known: readonly string[]): string {
  if (known.length === 0) return '';
  const best = closest(key, [...known]);
  const isNear = distance(key, best) <= Math.max(2, Math.floor(key.length / 2));
  return isNear ? `; did you mean "${best}"?` : `; known are ${known.join(', ')}`;
}

function expected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return article(issue.expected);
    case 'invalid_value':
      return issue.values.length === 1
        ? JSON.stringify(issue.values[0])
        : `one of ${issue.values.map((v) => JSON.stringify(v)).join(', ')}`;
    case 'too_small':
      return issue.origin === 'number' || issue.origin === 'int'
        ? `at least ${issue.minimum}`
        : `at least ${issue.minimum} ${issue.origin === 'string' ? 'characters' : 'entries'}`;
    case 'too_big':
      return issue.origin === 'number' || issue.origin === 'int'
        ? `at most ${issue.maximum}`
        : `at most ${issue.maximum} ${issue.origin === 'string' ? 'characters' : 'entries'}`;
    case 'invalid_format':
      return issue.message.startsWith('expected ') ? issue.message.slice('expected '.length) : `a ${issue.format}`;
    case 'invalid_union':
      return issue.message === 'Invalid input' ? 'another value' : issue.message;
    default:
      return issue.message;
  }
}

function article(type: string): string {
  if (type === 'int') return 'a whole number';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

/** `"4ms" (string)`, `-1 (number)`, `nothing`. */
function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  const text = JSON.stringify(value);
  const type = Array.isArray(value) ? 'list' : typeof value;
  return `${text.length > 60 ? `${text.slice(0, 57)}...` : text} (${type})`;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => join(text, part), '');
}

function join(path: string, part: PropertyKey): string {
  if (typeof part === 'number') return `${path}[${part}]`;
  return path === '' ? String(part) : `${path}.${String(part)}`;
}

function at(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, part) => (value as Record<PropertyKey, unknown> | undefined)?.[part], root);
}

/** The keys that an object schema knows at a path; empty where it is no plain object. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let current: z.ZodType = unwrap(schema);
  for (const part of path) {
    if (current instanceof z.ZodArray) current = unwrap(current.element as z.ZodType);
    else if (current instanceof z.ZodObject) current = unwrap((current.shape as Record<PropertyKey, z.ZodType>)[part]!);
    else return [];
  }
  if (current instanceof z.ZodUnion)
    return [...new Set(current.options.flatMap((option) => keysAt(option as z.ZodType, [])))];
  return current instanceof z.ZodObject ? Object.keys(current.shape) : [];
}

/** Looks through defaults and optionals. */
export function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional)
    return unwrap(schema.def.innerType as z.ZodType);
  return schema;
}
