import type { z } from 'zod';
import {
  childOf,
  discriminatorOf,
  jsonSchemaOf,
  optionsOf,
  type SchemaNode,
  typeText,
} from '../../settings/config/schema-text.ts';
import { pipelineConfig } from './pipeline.ts';

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
  return describeSchema(pipelineConfig);
}

/** Lists every key of a section or file, in the order of its schema. */
export function describeSchema(schema: z.ZodType): ConfigRow[] {
  return rowsOf(jsonSchemaOf(schema), '');
}

/** Returns keys as a table in Markdown. */
export function configTable(rows: readonly ConfigRow[] = describeConfig()): string {
  const lines = rows.map(
    ({ key, type, default: value, doc }) => `| \`${key}\` | ${cell(type)} | ${cell(value)} | ${cell(doc)} |`,
  );
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...lines].join('\n');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function rowsOf({ properties, required }: SchemaNode, prefix: string): ConfigRow[] {
  return Object.entries(properties ?? {}).flatMap(([name, property]) => {
    const node = property as SchemaNode;
    const key = `${prefix}${name}`;
    const isRequired = required?.includes(name) === true;
    const own = { key, type: typeText(node), default: defaultText(node, isRequired), doc: node.description ?? '' };
    // `defaults` has the settings of a stream, which are listed under streams[].
    return key === 'defaults' ? [own] : [own, ...innerRows(key, node)];
  });
}

function innerRows(key: string, node: SchemaNode): ConfigRow[] {
  if (node.items) return innerRows(`${key}[]`, node.items as SchemaNode);
  const options = optionsOf(node);
  if (options === null) return rowsOf(node, `${key}.`);
  const discriminator = discriminatorOf(options);
  if (discriminator === null) return options.flatMap((option) => innerRows(key, option));
  return options.flatMap((option) => {
    const value = String(childOf(option, discriminator)?.const);
    return rowsOf(option, `${key.replace(/\[\]$/, '')}[${discriminator}=${value}].`);
  });
}

function defaultText(node: SchemaNode, isRequired: boolean): string {
  if (node.default === undefined) return isRequired ? 'required' : 'absent';
  return node.type === 'object' ? 'see below' : JSON.stringify(node.default);
}
