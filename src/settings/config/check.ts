import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { HIDDEN, redact, redactSource } from '../../base/core/redact.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { branchFor, childOf, jsonSchemaOf, nodeAt, type SchemaNode, typeText, withArticle } from './schema-text.ts';
import { isSecret } from './shown-settings.ts';

/**
 * Checks a value against a schema. The error lists the faults, at most 20: where it is, what was expected, what was received and,
 * for an unknown key, the nearest known one. Credentials are redacted.
 *
 * @param where - names the value in the message: a file name, `stream`, `request`.
 * @throws CONFIG_INVALID
 */
export function check<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const result = inspect(schema, value);
  if (result.faults.length === 0) return result.data!;
  throw new SightlineError('CONFIG_INVALID', `${where}: ${faultsText(result.faults)}`, { where });
}

/** As `check`, with every fault as a text of its own. @returns the data if there are no faults. */
export function inspect<S extends z.ZodType>(
  schema: S,
  value: unknown,
): { readonly data?: z.output<S>; readonly faults: readonly string[] } {
  const result = schema.safeParse(value);
  if (result.success) return { data: result.data, faults: [] };
  const document: Document = { schema, value };
  const texts = result.error.issues.flatMap((issue) => issueTexts(issue, issue.path, document));
  return { faults: texts.map((text) => shortened(text, MAX_FAULT_CHARS)) };
}

/** Joins faults for one message, at most 20. */
export function faultsText(faults: readonly string[]): string {
  const more = faults.length > MOST_FAULTS ? `; and ${faults.length - MOST_FAULTS} more` : '';
  return `${faults.slice(0, MOST_FAULTS).join('; ')}${more}`;
}

/** Settings of earlier versions, and where they are now. */
const MOVED: ReadonlyMap<string, string> = new Map([
  ['gateway.events', '; events are in the history: set history.path (an SQLite file) and history.maxMb'],
]);
/** People correct the first faults first, and the message must not be much longer than what was sent. */
const MOST_FAULTS = 20;
const MAX_FAULT_CHARS = 400;
const MAX_SHOWN_DEPTH = 5;
/** Of a value, to find what must not be shown; far more than is shown. */
const MAX_READ_CHARS = 1000;
/** No setting has a longer name. */
const PLAIN_KEY = /^[A-Za-z_][\w-]{0,23}$/;
/** A password in it may hold white space. */
const ADDRESS = /^[a-z][a-z0-9+.-]*:\/\//i;
/** For longer keys no other name is suggested. */
const MAX_KEY_CHARS = 64;

function shortened(text: string, maxChars: number): string {
  return text.length > maxChars ? `${text.slice(0, maxChars - 3)}...` : text;
}

interface Document {
  readonly schema: z.ZodType;
  readonly value: unknown;
}

function issueTexts(issue: z.core.$ZodIssue, path: readonly PropertyKey[], document: Document): string[] {
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(document, path);
    const at = pathText(path);
    // Only the first ones are shown; looking for what was meant takes time.
    return issue.keys.map((key, i) =>
      i < MOST_FAULTS ? `${shownKey(at, key)}: unknown key${MOVED.get(join(at, key)) ?? nearest(key, known)}` : '',
    );
  }
  if (issue.code === 'invalid_key') {
    const message = issue.issues[0]?.message ?? 'expected another name';
    return [`${pathText(path)}: ${message.startsWith('expected ') ? message : 'expected another name'}`];
  }
  const branch = issue.code === 'invalid_union' ? branchIssues(issue) : [];
  if (branch.length > 0) return branch.flatMap((inner) => issueTexts(inner, [...path, ...inner.path], document));
  return [
    `${pathText(path) || 'document'}: expected ${expected(issue, path, document)}, received ${received(path, document)}`,
  ];
}

/** A forgotten colon makes a key of a value: only what can be the name of a setting is shown. */
function shownKey(at: string, key: string): string {
  return PLAIN_KEY.test(key) ? join(at, key) : at || 'document';
}

/** The issues of the first branch of a union whose type fits; empty if none fits. */
function branchIssues(issue: z.core.$ZodIssueInvalidUnion): readonly z.core.$ZodIssue[] {
  return (
    issue.errors.find((branch) => branch.every(({ code, path }) => code !== 'invalid_type' || path.length > 0)) ?? []
  );
}

function nearest(key: string, known: readonly string[]): string {
  if (known.length === 0 || key.length > MAX_KEY_CHARS) return '';
  const best = closest(key, [...known]);
  const isNear = distance(key, best) <= Math.max(2, Math.floor(key.length / 2));
  return isNear ? `; did you mean "${best}"?` : `; known are ${known.join(', ')}`;
}

function expected(issue: z.core.$ZodIssue, path: readonly PropertyKey[], document: Document): string {
  if (
    (issue.code === 'too_small' || issue.code === 'too_big') &&
    (issue.origin === 'string' || issue.origin === 'array')
  )
    return lengthText(issue);
  if (issue.code === 'custom' || issue.message.startsWith('expected ')) return issue.message.replace(/^expected /, '');
  if (issue.code === 'invalid_union' && 'options' in issue && issue.options !== undefined)
    return typeText({ enum: [...issue.options] as string[] });
  const node = nodeAt(jsonSchemaOf(document.schema), path, document.value);
  return node === null ? issue.message : withArticle(typeText(node));
}

function lengthText(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const [bound, count] =
    issue.code === 'too_small' ? ['at least', Number(issue.minimum)] : ['at most', Number(issue.maximum)];
  const noun = issue.origin === 'string' ? 'character' : count === 1 ? 'entry' : 'entries';
  return `${bound} ${count} ${noun}${issue.origin === 'string' && count !== 1 ? 's' : ''}`;
}

/** `"4ms" (string)`, `-1 (number)`, `nothing`. Secrets are redacted. */
function received(path: readonly PropertyKey[], document: Document): string {
  const value = at(document.value, path);
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  const root = jsonSchemaOf(document.schema);
  const nodeOf = (parts: number): SchemaNode | null => nodeAt(root, path.slice(0, parts), document.value);
  if (path.some((part, i) => isSecret(nodeOf(i + 1), String(part), root))) return `${String(value).length} characters`;
  const text =
    typeof value === 'number' ? String(value) : redact(textOf(value, nodeOf(path.length), root), MAX_READ_CHARS);
  const type = Array.isArray(value) ? 'list' : typeof value;
  return `${shortened(text, 60)} (${type})`;
}

/** JSON of a value without secrets, cut at a depth beyond which it is unreadable: a request may nest thousands of lists. */
function textOf(value: unknown, node: SchemaNode | null, root: SchemaNode, depth = 0): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string' && ADDRESS.test(value)) return JSON.stringify(redactSource(value));
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? String(value);
  if (depth === MAX_SHOWN_DEPTH) return Array.isArray(value) ? '[...]' : '{...}';
  const branch = node === null ? null : branchFor(node, value);
  const inner = (part: string | number): SchemaNode | null => (branch === null ? null : childOf(branch, part));
  if (Array.isArray(value)) return `[${value.map((entry, i) => textOf(entry, inner(i), root, depth + 1)).join()}]`;
  const entries = Object.entries(value).map(
    ([key, entry]) =>
      `${JSON.stringify(key)}:${isSecret(inner(key), key, root) ? HIDDEN : textOf(entry, inner(key), root, depth + 1)}`,
  );
  return `{${entries.join()}}`;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => join(text, part), '');
}

function join(path: string, part: PropertyKey): string {
  if (typeof part === 'number') return `${path}[${part}]`;
  return path === '' ? String(part) : `${path}.${String(part)}`;
}

function at(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, part) => (value as Record<PropertyKey, unknown> | null | undefined)?.[part],
    root,
  );
}

/** The keys that the schema allows at a path; empty if the schema there is not an object. */
function keysAt(document: Document, path: readonly PropertyKey[]): string[] {
  return Object.keys(nodeAt(jsonSchemaOf(document.schema), path, document.value)?.properties ?? {});
}

/**
 * Parses the text of a JSON file.
 *
 * @param what - is expected: `a JSON document of answers`. @throws CONFIG_INVALID
 */
export function parseJson(content: string, path: string, what = 'a JSON document'): unknown {
  try {
    return JSON.parse(content);
  } catch {
    throw new SightlineError('CONFIG_INVALID', `${path}: expected ${what}, received ${content.length} characters`);
  }
}
