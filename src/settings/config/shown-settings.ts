import type { z } from 'zod';
import { HIDDEN, isSecretName, redact, redactSource, redactWebhook } from '../../base/core/redact.ts';
import { branchFor, childOf, jsonSchemaOf, marksOf, optionsOf, type SchemaNode } from './schema-text.ts';

/**
 * Returns whether the value of a setting is never shown.
 *
 * @param node - null if the schema has no such place: then it is as secret as others of its name.
 * @param root - the schema of the whole document.
 */
export function isSecret(node: SchemaNode | null, key: string, root: SchemaNode): boolean {
  const { secret = isSecretName(key) || (node === null && secretKeys(root).has(key)) } = marksOf(node);
  return secret === true;
}

const known = new WeakMap<SchemaNode, ReadonlySet<string>>();

/** The names of all settings of a schema that are marked as secrets. */
function secretKeys(root: SchemaNode): ReadonlySet<string> {
  let keys = known.get(root);
  if (keys === undefined) {
    keys = new Set(keysBelow(root));
    known.set(root, keys);
  }
  return keys;
}

function keysBelow({ properties = {}, items, ...node }: SchemaNode): string[] {
  const own = Object.entries(properties).flatMap(([key, child]) => [
    ...(marksOf(child as SchemaNode).secret === true ? [key] : []),
    ...keysBelow(child as SchemaNode),
  ]);
  const inner = [...(optionsOf(node) ?? []), ...(typeof items === 'object' ? [items as SchemaNode] : [])];
  return [...own, ...inner.flatMap(keysBelow)];
}

/** Returns settings as those may see them who may not see secrets: without them, and with all other texts redacted. */
export function shownSettings<T>(schema: z.ZodType, settings: T): T {
  const root = jsonSchemaOf(schema);
  return shown(settings, root, '', root) as T;
}

/** Returns the value of one key of a section as `shownSettings` does. */
export function shownSetting(section: z.ZodType, key: string, value: unknown): unknown {
  const root = jsonSchemaOf(section);
  return shown(value, childOf(root, key), key, root);
}

function shown(value: unknown, node: SchemaNode | null, key: string, root: SchemaNode): unknown {
  if (isSecret(node, key, root)) return hidden(value);
  if (typeof value === 'string') return redactorOf(node)(value);
  if (typeof value !== 'object' || value === null) return value;
  const branch = node === null ? null : branchFor(node, value);
  const inner = (part: string | number): SchemaNode | null => (branch === null ? null : childOf(branch, part));
  if (Array.isArray(value)) return value.map((entry, i) => shown(entry, inner(i), '', root));
  const entries = Object.entries(value).map(([name, entry]) => [name, shown(entry, inner(name), name, root)]);
  return Object.fromEntries(entries);
}

function redactorOf(node: SchemaNode | null): (text: string) => string {
  const { secret } = marksOf(node);
  return secret === 'source' ? redactSource : secret === 'receiver' ? redactWebhook : redact;
}

/** All below a secret is secret, except for the names of keys. */
function hidden(value: unknown): unknown {
  if (value === null || value === undefined) return value;
  if (Array.isArray(value)) return value.map(hidden);
  if (typeof value !== 'object') return HIDDEN;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, hidden(entry)]));
}
