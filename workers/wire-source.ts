import { z } from 'zod';
// Their records register themselves.
import '../src/wire/protocol/fleet-bus.ts';
import '../src/wire/protocol/rest.ts';
import { batchConfig } from '../src/settings/config/batch.ts';
import { modelConfig } from '../src/settings/config/model-config.ts';
import { optionsOf, type SchemaNode } from '../src/settings/config/schema-text.ts';
import { stageConfig } from '../src/settings/config/stages.ts';
import { trackConfig } from '../src/settings/config/track.ts';
import { KNOWN_KEYS, RECORDS } from '../src/wire/protocol/bounds.ts';
import { comment, literal } from './settings-words.ts';

const HEADER = '// Made from the schemas by workers/settings-types.mjs. Not a file to edit.\n';
const [PIPELINE_KEYS, STREAM_KEYS] = [
  '../../../settings/config/keys/pipeline-keys.ts',
  '../../../settings/config/keys/stream-keys.ts',
];
/** Types that records name and that are written elsewhere. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  Detection: '../../../base/core/detection.ts',
  RatioPoint: '../../../base/core/detection.ts',
  ModelSettings: PIPELINE_KEYS,
  SecondStageSettings: PIPELINE_KEYS,
  BatchSettings: PIPELINE_KEYS,
  TrackSettings: STREAM_KEYS,
};
modelConfig.register(RECORDS, { id: 'ModelSettings' });
stageConfig.register(RECORDS, { id: 'SecondStageSettings' });
batchConfig.register(RECORDS, { id: 'BatchSettings' });
trackConfig.register(RECORDS, { id: 'TrackSettings' });

/** Records that are used as a schema gives them, in which an absent key may be undefined. */
const PARSED: ReadonlySet<string> = new Set(['GuardReport', 'HostCard', 'LabelledVerdict']);

/** How types are written: whether absent keys may be undefined, and whether lists are read-only. */
interface Style {
  readonly mayBeUndefined: boolean;
  readonly isFrozen: boolean;
}

/**
 * Returns the interfaces of all records of the wire, not formatted yet.
 *
 * @param written - the sources of the protocol, which have a comment above each record.
 */
export function wireSource(written: string): string {
  const [ofReplies, ofRequests] = [nodes('output'), nodes('input')];
  const imports = Object.entries(ELSEWHERE).map(([name, from]) => `import type { ${name} } from '${from}';\n`);
  const names = Object.keys(ofReplies).filter((name) => !(name in ELSEWHERE));
  const texts = names.map((name) => {
    const { title, isRequest } = headOf(name, written);
    const node = (isRequest ? ofRequests : ofReplies)[name]!;
    const style = { mayBeUndefined: isRequest || PARSED.has(name), isFrozen: !isRequest };
    return `${title}export interface ${name} ${section(node, '', style)}\n`;
  });
  return [HEADER, imports.join(''), ...texts].join('\n');
}

function nodes(io: 'input' | 'output'): Readonly<Record<string, SchemaNode>> {
  const { schemas } = z.toJSONSchema(RECORDS, {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => Object.assign(jsonSchema, KNOWN_KEYS.get(zodSchema)),
  });
  return schemas as Record<string, SchemaNode>;
}

/** Returns the comment above a record, and whether it is what a user writes. */
function headOf(name: string, written: string): { readonly title: string; readonly isRequest: boolean } {
  const head = new RegExp(`(/\\*\\*(?:(?!\\*/)[^])*\\*/\\n)(?:export )?const \\w+ = (record|request)\\('${name}'`).exec(
    written,
  );
  if (head === null) throw new Error(`src/wire/protocol: expected a comment above the record ${name}`);
  return { title: head[1]!, isRequest: head[2] === 'request' };
}
function commentOf({ description: doc }: SchemaNode, indent: string): string {
  return doc === undefined ? '' : comment({ doc, limits: null, byDefault: null }, indent);
}

function section(node: SchemaNode, indent: string, style: Style): string {
  const { properties = {}, required = [], additionalProperties: others = false } = node;
  const absent = style.mayBeUndefined ? ' | undefined' : '';
  const inner = `${indent}  `;
  const keys = Object.entries(properties).map(([key, property]) => {
    const child = property as SchemaNode;
    const type = typeOf(child, inner, style);
    return `${commentOf(child, inner)}${inner}readonly ${key}${required.includes(key) ? `: ${type}` : `?: ${type}${absent}`};\n`;
  });
  const more = typeof others === 'object' ? `${inner}readonly [key: string]: unknown;\n` : '';
  return `{\n${more}${keys.join('')}${indent}}`;
}

function typeOf(node: SchemaNode, indent: string, style: Style): string {
  if (node.$ref !== undefined) return node.$ref.split('/').at(-1)!;
  const values = node.enum ?? (node.const === undefined ? undefined : [node.const]);
  if (values !== undefined) return values.map(literal).join(' | ');
  const options = Array.isArray(node.type) ? node.type.map((type) => ({ ...node, type })) : optionsOf(node);
  if (options !== null) return options.map((option) => typeOf(option, indent, style)).join(' | ');
  switch (node.type) {
    case 'integer':
    case 'number':
      return 'number';
    case 'array': {
      const item = typeOf(node.items as SchemaNode, indent, style);
      const list = /^[^{].*[ |]/.test(item) ? `(${item})[]` : `${item}[]`;
      return style.isFrozen ? `readonly ${list}` : list;
    }
    case 'object':
      return node.properties === undefined ? recordOf(node, indent, style) : likeOf(node, indent, style);
    default:
      return (node.type as string | undefined) ?? 'unknown';
  }
}

/** A type by name. `keys`: those of this version, of which others may know more. */
function recordOf(node: SchemaNode, indent: string, style: Style): string {
  const value = typeOf(node.additionalProperties as SchemaNode, indent, style);
  const { keys } = node as { readonly keys?: readonly string[] };
  if (keys === undefined) return style.isFrozen ? `Readonly<Record<string, ${value}>>` : `Record<string, ${value}>`;
  return `Readonly<Partial<Record<${keys.map(literal).join(' | ')}, ${value}>>>`;
}

/** A section; one of several keys that differ in nothing but their names is written as a record. */
function likeOf(node: SchemaNode, indent: string, style: Style): string {
  const children = Object.values(node.properties ?? {}) as SchemaNode[];
  const [type, ...others] = new Set(children.map((child) => typeOf(child, indent, style)));
  const isAlike = children.length > 1 && others.length === 0;
  if (!isAlike || children.some(({ description }) => description !== undefined)) return section(node, indent, style);
  return `Readonly<Record<${Object.keys(node.properties ?? {})
    .map(literal)
    .join(' | ')}, ${type}>>`;
}
