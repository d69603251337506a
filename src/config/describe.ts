import { z } from 'zod';
import { pipelineConfig } from './pipeline.ts';
import { typeText, unwrap } from './schema-text.ts';
import { streamDefaults } from './stream.ts';

/** One key of a pipeline file, as `docs/config.md` lists it. */
export interface ConfigRow {
  /** Path from the top, as in `streams[].target.fps`; in a union with its discriminator, `sinks[type=jsonl].path`. */
  readonly key: string;
  /** In words: `number from 0 to 100`. */
  readonly type: string;
  /** As written in YAML; `required` or `absent` if there is no default. */
  readonly default: string;
  readonly doc: string;
}

/** Lists every key that a pipeline file may hold, in the order of the schemas. */
export function describeConfig(): ConfigRow[] {
  return rowsOf(pipelineConfig, '');
}

/** Returns the same as a table in Markdown. */
export function configTable(): string {
  const lines = describeConfig().map(
    ({ key, type, default: value, doc }) => `| \`${key}\` | ${cell(type)} | ${cell(value)} | ${cell(doc)} |`,
  );
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...lines].join('\n');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function rowsOf(object: z.ZodObject, prefix: string): ConfigRow[] {
  return Object.entries(object.shape as Record<string, z.ZodType>).flatMap(([name, schema]) =>
    keyRows(`${prefix}${name}`, schema),
  );
}

function keyRows(key: string, schema: z.ZodType): ConfigRow[] {
  const own = { key, type: typeText(schema), default: defaultText(schema), doc: docOf(schema) };
  const inner = unwrap(schema);
  // `defaults` has the settings of a stream, which are listed under streams[].
  if (inner === streamDefaults) return [own];
  return [own, ...innerRows(key, inner)];
}

function innerRows(key: string, schema: z.ZodType): ConfigRow[] {
  if (schema instanceof z.ZodObject) return rowsOf(schema, `${key}.`);
  if (schema instanceof z.ZodArray) return innerRows(`${key}[]`, unwrap(schema.element as z.ZodType));
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const discriminator = schema.def.discriminator;
    return schema.options.flatMap((option) => {
      const object = option as z.ZodObject;
      const value = [...(object.shape[discriminator] as z.ZodLiteral).values][0];
      return rowsOf(object, `${key.replace(/\[\]$/, '')}[${discriminator}=${String(value)}].`);
    });
  }
  if (schema instanceof z.ZodUnion)
    return schema.options.flatMap((option) => innerRows(key, unwrap(option as z.ZodType)));
  return [];
}

function docOf(schema: z.ZodType): string {
  if (schema.description !== undefined) return schema.description;
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional)
    return docOf(schema.def.innerType as z.ZodType);
  return '';
}

function defaultText(schema: z.ZodType): string {
  if (schema instanceof z.ZodDefault) return JSON.stringify(schema.def.defaultValue);
  if (schema instanceof z.ZodPrefault) return 'see below';
  return schema instanceof z.ZodOptional ? 'absent' : 'required';
}
