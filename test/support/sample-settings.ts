import { branchFor, jsonSchemaOf, optionsOf, type SchemaNode } from '../../src/settings/config/schema-text.ts';
import { streamConfig } from '../../src/settings/config/stream.ts';

/**
 * Values of settings that a schema does not describe completely, by the name of their key. A new setting needs a line here only if
 * the schema refuses what `sampleOf` makes up.
 */
const SAMPLES: Readonly<Record<string, unknown>> = {
  source: 'rtsp://bob:hunter2@camera.example/1',
  restream: 'rtsp://bob:hunter2@media.example/1',
  hwaccel: 'cuda',
  region: { x: 0.05, y: 0.05, width: 0.9, height: 0.9 },
  polygon: [
    [0.2, 0.2],
    [0.6, 0.2],
    [0.6, 0.6],
  ],
  from: [0.5, 0.9],
  to: [0.5, 0.3],
  corners: [
    [0.2, 0.2],
    [0.6, 0.2],
    [0.6, 0.6],
    [0.2, 0.6],
  ],
  labels: ['person', 'car'],
  zone: 'zones-1',
  line: 'lines-1',
  event: 'events-1',
  when: 'score > 0.3 && size > 0.1',
  on: ['mon-fri 22:00-06:00'],
  timeZone: 'Europe/Berlin',
  // Each must fit the others.
  above: 3,
  below: 9,
  fps: 4,
  maxFps: 20,
  lowScore: 0.2,
  highScore: 0.5,
  newScore: 0.6,
  lostMs: 900,
  min: 2,
  max: 5,
  columns: 2,
  rows: 3,
};

/** Lists of which one entry is edited while the others must stay as they are. */
const ENTRIES = 3;

/**
 * Returns settings of a stream with a value for every key: of the stream, of each kind of rule, and of zones, lines and masks. No value
 * is the default if there is another one.
 */
export function fullStream(id: string): Record<string, unknown> {
  const settings = sectionOf(jsonSchemaOf(streamConfig), '');
  return { ...settings, id };
}

function sectionOf({ properties = {} }: SchemaNode, listed: string): Record<string, unknown> {
  const entries = Object.entries(properties).map(([key, child]) => [
    key,
    key === 'id' ? listed : sampleOf(child as SchemaNode, key),
  ]);
  return Object.fromEntries(entries);
}

function sampleOf(node: SchemaNode, key: string): unknown {
  if (key in SAMPLES) return SAMPLES[key];
  if (node.const !== undefined) return node.const;
  if (node.enum !== undefined) return node.enum.findLast((value) => value !== node.default);
  const options = optionsOf(node);
  if (options !== null) return sampleOf(options.find(({ type }) => type === 'object') ?? branchFor(node, {}), key);
  switch (node.type) {
    case 'object':
      return sectionOf(node, key);
    case 'array':
      return listOf(node, key);
    case 'boolean':
      return node.default !== true;
    case 'integer':
      return Math.max(Number(node.minimum ?? 0), Math.min(Number(node.maximum ?? 7), 7));
    case 'number':
      return Math.max(Number(node.minimum ?? 0), Math.min(Number(node.maximum ?? 7), 0.75));
    default:
      return 'longest' in node ? '7s' : `some-${key}`;
  }
}

function listOf({ items, prefixItems, minItems = 1 }: SchemaNode, key: string): unknown[] {
  if (prefixItems !== undefined) return prefixItems.map((item) => sampleOf(item as SchemaNode, key));
  const node = items as SchemaNode;
  // Each kind of entry.
  const sections = optionsOf(node) ?? (node.type === 'object' ? Array.from({ length: ENTRIES }, () => node) : null);
  if (sections !== null) return sections.map((section, i) => sectionOf(section, `${key}-${i + 1}`));
  return Array.from({ length: Number(minItems) }, () => sampleOf(node, key));
}

/** Returns the places in which two documents differ, such as `events[2].clip.before`. */
export function differences(before: unknown, after: unknown, at = ''): string[] {
  if (typeof before !== 'object' || typeof after !== 'object' || before === null || after === null)
    return Object.is(before, after) ? [] : [at];
  const [a, b] = [before, after] as Record<string, unknown>[];
  const keys = [...new Set([...Object.keys(a!), ...Object.keys(b!)])];
  const placeOf = (key: string): string => (Array.isArray(before) ? `${at}[${key}]` : at === '' ? key : `${at}.${key}`);
  return keys.flatMap((key) => differences(a![key], b![key], placeOf(key)));
}
