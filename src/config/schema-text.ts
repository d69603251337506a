import { z } from 'zod';

/** Returns the schema inside defaults and optionals. */
export function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional)
    return unwrap(schema.def.innerType as z.ZodType);
  return schema;
}

/** Describes in words what a schema accepts: `number from 0 to 100`, `"tcp" or "udp"`, `list of text`. */
export function typeText(wrapped: z.ZodType): string {
  const schema = unwrap(wrapped);
  if (schema instanceof z.ZodNumber) return numberText(schema);
  if (schema instanceof z.ZodNullable) return `${typeText(schema.unwrap() as z.ZodType)}, or null`;
  if (schema instanceof z.ZodURL) return 'http or https URL';
  if (schema instanceof z.ZodString) return 'text';
  if (schema instanceof z.ZodBoolean) return 'true or false';
  if (schema instanceof z.ZodEnum) return alternatives(schema.options.map((option) => JSON.stringify(option)));
  if (schema instanceof z.ZodLiteral) return alternatives([...schema.values].map((value) => JSON.stringify(value)));
  if (schema instanceof z.ZodArray) return `list of ${typeText(schema.element as z.ZodType)}`;
  if (schema instanceof z.ZodTuple)
    return `[${schema.def.items.map((item) => typeText(item as z.ZodType)).join(', ')}]`;
  if (schema instanceof z.ZodUnion) return unionText(schema.options.map((option) => typeText(option as z.ZodType)));
  return 'section';
}

function unionText(options: readonly string[]): string {
  return [...new Set(options)].map((option) => (option === 'section' ? 'a section' : option)).join(', or ');
}

function numberText(schema: z.ZodNumber): string {
  const noun = schema.isInt ? 'whole number' : 'number';
  const { minValue, maxValue } = schema;
  const isBounded = minValue !== null && maxValue !== null && Number.isFinite(minValue) && Number.isFinite(maxValue);
  return isBounded && maxValue < Number.MAX_SAFE_INTEGER ? `${noun} from ${minValue} to ${maxValue}` : noun;
}

function alternatives(options: readonly string[]): string {
  return options.length < 3 ? options.join(' or ') : `one of ${options.join(', ')}`;
}

/** Puts an article before a type if English needs one. */
export function withArticle(type: string): string {
  return /^(number|whole number|list|section|http)/.test(type) ? `a${/^http/.test(type) ? 'n' : ''} ${type}` : type;
}

/**
 * Finds the schema of one place in a document.
 *
 * @param value - the document, which selects the branch of a union.
 * @returns null if the schema has no such place.
 */
export function schemaAt(root: z.ZodType, path: readonly PropertyKey[], value: unknown): z.ZodType | null {
  let current: z.ZodType | null = root;
  let here = value;
  for (const part of path) {
    current = step(branchFor(unwrap(current), here), part);
    if (current === null) return null;
    here = (here as Record<PropertyKey, unknown> | null | undefined)?.[part];
  }
  return branchFor(unwrap(current), here);
}

function step(schema: z.ZodType, part: PropertyKey): z.ZodType | null {
  if (schema instanceof z.ZodArray) return schema.element as z.ZodType;
  if (schema instanceof z.ZodTuple) return (schema.def.items[Number(part)] as z.ZodType | undefined) ?? null;
  if (schema instanceof z.ZodObject) return (schema.shape as Record<PropertyKey, z.ZodType>)[part] ?? null;
  if (schema instanceof z.ZodDiscriminatedUnion && part === schema.def.discriminator) return discriminatorOf(schema);
  return null;
}

/** All values of a union's discriminator, as one schema. */
function discriminatorOf(union: z.ZodDiscriminatedUnion): z.ZodType {
  const key = union.def.discriminator;
  const names = union.options.flatMap((option) => {
    const literal = (option as z.ZodObject).shape[key];
    return literal instanceof z.ZodLiteral ? [...literal.values].map(String) : [];
  });
  return z.enum(names as [string, ...string[]]);
}

/** The branch of a union that a value selects: by its discriminator, or else the first object branch for an object. */
function branchFor(schema: z.ZodType, value: unknown): z.ZodType {
  if (!(schema instanceof z.ZodUnion) || typeof value !== 'object' || value === null) return schema;
  const options = schema.options.map((option) => unwrap(option as z.ZodType));
  const objects = options.filter((option) => option instanceof z.ZodObject);
  if (!(schema instanceof z.ZodDiscriminatedUnion)) return objects[0] ?? schema;
  const key = schema.def.discriminator;
  const selected = (value as Record<string, unknown>)[key];
  return objects.find((option) => (option.shape[key] as z.ZodLiteral).values.has(selected as string)) ?? schema;
}
