import { optionsOf, type SchemaNode, typeText } from '../src/settings/config/schema-text.ts';

/** Names of interfaces that differ from that of their key. */
const NAMES: Readonly<Record<string, string>> = {
  '': 'PipelineSettings',
  models: 'ModelSettings',
  'models.fake': 'FakeEngineSettings',
  tls: 'SourceTlsSettings',
  'model.fake': 'FakeEngineSettings',
  'stages[]': 'SecondStageSettings',
  'stages[].on': 'StageObjectSettings',
  'stages[].model.fake': 'FakeEngineSettings',
  'gateway.tls': 'GatewayTlsSettings',
  'streams[].skip.unchanged': 'ChangeGateSettings',
  'streams[].skip.trackBetween': 'AdaptivePaceSettings',
};
/** Units by the end of a key. */
const UNITS: readonly (readonly [RegExp, string])[] = [
  [/Ms$/, 'milliseconds'],
  [/^fps$|Fps$/, 'per second'],
  [/^width$|Px$/, 'pixels'],
  [/Pixels$/, 'pixels'],
  [/Mb$/, 'megabytes'],
  [/Mib$/, 'MiB'],
  [/Minutes$/, 'minutes'],
];
const WIDTH = 120;

/** What an editor shows for a key: its meaning, what it accepts, and its default. */
interface KeyText {
  readonly doc: string;
  /** Limits and unit of a number; null if the type of the key says it all. */
  readonly limits: string | null;
  /** As written in TypeScript; null if the key has none. */
  readonly byDefault: string | null;
}

/** Returns the text of a key. @param name - last part of its path. */
export function keyText(name: string, node: SchemaNode): KeyText {
  const { description: doc = '', default: value } = node;
  const isSection = node.type === 'object';
  return { doc, limits: limitsText(name, node), byDefault: value === undefined || isSection ? null : literal(value) };
}

function limitsText(name: string, node: SchemaNode): string | null {
  const accepted = typeText(node);
  if (!/\d to -?\d/.test(accepted)) return null;
  const isShare = numberOf(node)?.maximum === 1;
  const unit = isShare ? undefined : UNITS.find(([end]) => end.test(name))?.[1];
  return `Accepts: ${accepted}${unit === undefined ? '' : `, ${unit}`}.`;
}

function numberOf(node: SchemaNode): SchemaNode | undefined {
  return [node, ...(optionsOf(node) ?? [])].find(({ type }) => type === 'number' || type === 'integer');
}

/** Returns a value as TypeScript writes it. */
export function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}

/** Returns the comment above a declaration. */
export function comment({ doc, limits, byDefault }: KeyText, indent = '  '): string {
  const lines = wrapped(limits === null ? doc : `${doc} ${limits}`, WIDTH - `${indent} * `.length);
  if (byDefault !== null) lines.push(`@defaultValue \`${byDefault}\``);
  const [only] = lines;
  return lines.length === 1 && only!.length <= WIDTH - `${indent}/**  */`.length
    ? `${indent}/** ${only} */\n`
    : `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join('')}${indent} */\n`;
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** `streams[].zones[]` -> `ZoneSettings`, `sinks[][type=jsonl]` -> `JsonlSinkSettings`. */
export function nameOf(path: string): string {
  const known = NAMES[path];
  if (known !== undefined) return known;
  const [, plain, kind = ''] = /([^.[\]]+)(?:\[\])?(?:\[\w+=([\w-]+)\])?$/.exec(path)!;
  const singular = path.endsWith(']') ? plain!.replace(/s$/, '') : plain!;
  return `${kind.split('-').map(capital).join('')}${capital(singular)}Settings`;
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
