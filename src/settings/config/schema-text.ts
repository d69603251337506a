import { z } from 'zod';

/** A node of a JSON Schema, as zod writes it. */
export type SchemaNode = z.core.JSONSchema.JSONSchema;

const known = new WeakMap<z.ZodType, SchemaNode>();

/** Returns the JSON Schema of what may be written: keys with a default are optional. Converts each schema once. */
export function jsonSchemaOf(schema: z.ZodType): SchemaNode {
  let node = known.get(schema);
  if (node === undefined) {
    // What JSON Schema cannot express, such as a transform, accepts anything here.
    node = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as SchemaNode;
    known.set(schema, node);
  }
  return node;
}

/** Describes in words what a node accepts: `number from 0 to 100`, `"tcp" or "udp"`, `list of text`. */
export function typeText(node: SchemaNode): string {
  const values = node.enum ?? (node.const === undefined ? undefined : [node.const]);
  if (values !== undefined) return alternatives(values.map((value) => JSON.stringify(value)));
  const options = optionsOf(node);
  if (options !== null) {
    const texts = options.map((option) => typeText(option));
    return [...new Set(texts)].map((text) => (text === 'section' ? 'a section' : text)).join(', or ');
  }
  switch (node.type) {
    case 'number':
    case 'integer':
      return numberText(node);
    case 'string':
      return node.format === 'uri' ? 'http or https URL' : 'text';
    case 'boolean':
      return 'true or false';
    case 'array':
      return node.prefixItems === undefined
        ? `list of ${typeText(node.items as SchemaNode)}`
        : `[${node.prefixItems.map((item) => typeText(item as SchemaNode)).join(', ')}]`;
    default:
      return node.type === 'null' ? 'null' : 'section';
  }
}

/** The alternatives of a union; null for other nodes. */
export function optionsOf(node: SchemaNode): readonly SchemaNode[] | null {
  return node.anyOf ?? node.oneOf ?? null;
}

/** The key by whose value the options of a union differ; null if there is none. */
export function discriminatorOf(options: readonly SchemaNode[]): string | null {
  const keys = Object.keys(options[0]?.properties ?? {});
  return keys.find((key) => options.every((option) => childOf(option, key)?.const !== undefined)) ?? null;
}

/** The node of a key, or of an entry of a list or tuple; null if the node has no such part. */
export function childOf(node: SchemaNode, part: PropertyKey): SchemaNode | null {
  const child =
    typeof part === 'number'
      ? (node.prefixItems?.[part] ?? node.items)
      : (node.properties?.[part as string] ??
        (typeof node.additionalProperties === 'object' && node.additionalProperties));
  return (child as SchemaNode | undefined) || null;
}

/**
 * Finds the node of one place in a document.
 *
 * @param value - the document, which selects the branch of a union.
 * @returns null if the schema has no such place.
 */
export function nodeAt(root: SchemaNode, path: readonly PropertyKey[], value: unknown): SchemaNode | null {
  let current: SchemaNode | null = root;
  let here = value;
  for (const part of path) {
    current = childOf(branchFor(current, here), part);
    if (current === null) return null;
    here = (here as Record<PropertyKey, unknown> | null | undefined)?.[part];
  }
  return branchFor(current, here);
}

/** What a setting is, beside what it accepts. It is a part of its schema, for all that treats such settings alike. */
export type SettingMarks = {
  /** Its text may hold placeholders, which are resolved where it is opened. */
  readonly placeholders?: true;
  /**
   * Whether its value is hidden from those who may read settings: true, or all of it that may hold credentials, as of a source or of the
   * address of a receiver. False: it is no secret, although its name is like that of one.
   */
  readonly secret?: boolean | 'source' | 'receiver';
  /** Its text is a time such as `15s`, at most this long. */
  readonly longest?: string;
  /** Of a stream: whether a version of a roll-out can change it, or cannot, and must not differ in it. Absent: it is not compared. */
  readonly rollout?: 'changes' | 'fixed';
};

/** Checks the marks of a setting, for `.meta(...)` of its schema. */
export function mark(marks: SettingMarks): SettingMarks {
  return marks;
}

/** Returns what a setting was marked with. */
export function marksOf(node: SchemaNode | null): SettingMarks {
  return (node ?? {}) as SettingMarks;
}

/** Marks the schema of a text that may hold placeholders. */
export function mayHoldPlaceholders<S extends z.ZodType>(schema: S): S {
  return schema.meta(mark({ placeholders: true }));
}

/** Returns the keys of a section whose settings have a mark of this value. */
export function keysMarked<M extends keyof SettingMarks>(
  section: z.ZodType,
  name: M,
  value: SettingMarks[M],
): readonly string[] {
  const properties = Object.entries(jsonSchemaOf(section).properties ?? {});
  return properties.flatMap(([key, node]) => (marksOf(node as SchemaNode)[name] === value ? [key] : []));
}

/**
 * Returns a document with some of its texts replaced.
 *
 * @param replace - receives each text, its place such as `sinks[0].url`, and its node; null where the schema has no such place.
 */
export function replaceTexts<T>(
  value: T,
  node: SchemaNode | null,
  replace: (text: string, at: string, node: SchemaNode | null) => string,
  at = '',
): T {
  if (typeof value === 'string') return replace(value, at, node) as T;
  if (typeof value !== 'object' || value === null) return value;
  const branch = node === null ? null : branchFor(node, value);
  const inner = (part: number | string, entry: unknown): unknown => {
    const place = typeof part === 'number' ? `[${part}]` : at === '' ? part : `.${part}`;
    return replaceTexts(entry, branch === null ? null : childOf(branch, part), replace, at + place);
  };
  if (Array.isArray(value)) return value.map((entry, i) => inner(i, entry)) as T;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, inner(key, entry)])) as T;
}

/** Puts an article before a type if English needs one. */
export function withArticle(type: string): string {
  return /^(number|whole number|list|section|http)/.test(type) ? `a${/^http/.test(type) ? 'n' : ''} ${type}` : type;
}

function numberText(node: SchemaNode): string {
  const noun = node.type === 'integer' ? 'whole number' : 'number';
  const minimum = node.minimum ?? node.exclusiveMinimum;
  const maximum = node.maximum ?? node.exclusiveMaximum;
  const isBounded = minimum !== undefined && maximum !== undefined && Number(maximum) < Number.MAX_SAFE_INTEGER;
  return isBounded ? `${noun} from ${minimum} to ${maximum}` : noun;
}

function alternatives(options: readonly string[]): string {
  return options.length < 3 ? options.join(' or ') : `one of ${options.join(', ')}`;
}

/** The branch of a union that a value selects: by its discriminator, or else the first section for an object, the first list for a list. */
export function branchFor(node: SchemaNode, value: unknown): SchemaNode {
  const options = optionsOf(node);
  if (options === null || typeof value !== 'object' || value === null) return node;
  if (Array.isArray(value)) return options.find(({ type }) => type === 'array') ?? node;
  const sections = options.filter(({ type }) => type === 'object');
  const key = discriminatorOf(options);
  if (key === null) return sections[0] ?? node;
  const selected = (value as Record<string, unknown>)[key];
  return sections.find((section) => childOf(section, key)?.const === selected) ?? node;
}
