import { childOf, discriminatorOf, optionsOf, type SchemaNode, typeText } from '../../src/config/schema-text.ts';

/** Names of interfaces that differ from that of their key. */
const NAMES: Readonly<Record<string, string>> = {
  '': 'PipelineSettings',
  models: 'NamedModelsSettings',
  tls: 'SourceTlsSettings',
  'model.fake': 'FakeEngineSettings',
  'gateway.tls': 'GatewayTlsSettings',
  'streams[].skip.unchanged': 'ChangeGateSettings',
  'streams[].skip.trackBetween': 'AdaptivePaceSettings',
};
/** The files, in the order of their imports, and the keys of a pipeline file that each has; the first one has the others. */
const FILES: Readonly<Record<string, readonly string[]>> = {
  'pipeline-keys.ts': [],
  'sink-keys.ts': ['sinks'],
  'stream-keys.ts': ['streams', 'defaults'],
};
/** Given by `defaults`, which has the keys of a stream once more. */
const DEFAULTS_TYPE = `Omit<StreamSettings, 'id' | 'source'>`;
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
const HEADER =
  '// Made from the schemas in src/config by: UPDATE_DOCS=1 npx vitest run test/rules/documented-settings.test.ts\n';

/** What an editor shows for a key: its meaning, what it accepts, and its default. */
interface KeyText {
  readonly doc: string;
  /** Limits and unit of a number; null if the type of the key says it all. */
  readonly limits: string | null;
  /** As written in TypeScript; null if the key has none. */
  readonly byDefault: string | null;
}

/** Returns the text of a key. @param name - last part of its path. */
function keyText(name: string, node: SchemaNode): KeyText {
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

/** Returns the interfaces of all settings of a schema by the name of their file, not formatted yet. */
export function settingsSource(root: SchemaNode): Readonly<Record<string, string>> {
  const source = new SettingsSource();
  source.section(root, '');
  return source.files();
}

interface Declaration {
  readonly file: string;
  /** Without its comment. */
  readonly body: string;
  readonly text: string;
  /** Declarations that it names. */
  readonly uses: ReadonlySet<string>;
}

class SettingsSource {
  readonly #declared = new Map<string, Declaration>();

  /** Declares the interface of a section. @returns its name. */
  section(node: SchemaNode, path: string, doc = node.description): string {
    const name = NAMES[path] ?? nameOf(path);
    const uses = new Set<string>();
    const required = new Set(node.required ?? []);
    const keys = Object.entries(node.properties ?? {}).map(([key, property]) => {
      const child = property as SchemaNode;
      const type = this.#typeOf(child, path === '' ? key : `${path}.${key}`, uses);
      return `${comment(keyText(key, child))}  readonly ${key}${required.has(key) ? `: ${type}` : `?: ${type} | undefined`};\n`;
    });
    this.#declare(name, path, `interface ${name} {\n${keys.join('')}}`, uses, doc);
    return name;
  }

  files(): Record<string, string> {
    const texts = Object.keys(FILES).map((file) => {
      const own = [...this.#declared.values()].filter((declaration) => declaration.file === file);
      return [file, `${HEADER}\n${this.#imports(file, own)}${own.map(({ text }) => text).join('\n')}`] as const;
    });
    return Object.fromEntries(texts);
  }

  #imports(file: string, own: readonly Declaration[]): string {
    const names = new Set(own.flatMap(({ uses }) => [...uses]));
    const lines = Object.keys(FILES).flatMap((other) => {
      const from = [...names].filter((name) => this.#declared.get(name)?.file === other).sort();
      return other === file || from.length === 0 ? [] : [`import type { ${from.join(', ')} } from './${other}';\n`];
    });
    return lines.length === 0 ? '' : `${lines.join('')}\n`;
  }

  #declare(name: string, path: string, body: string, uses: ReadonlySet<string>, doc?: string): void {
    const known = this.#declared.get(name);
    if (known !== undefined && known.body !== body)
      throw new Error(`two sections are called ${name}; add ${path} to NAMES in ${import.meta.filename}`);
    if (known !== undefined) return;
    const where = path === '' ? '' : ` In a pipeline file: \`${path}\`.`;
    const what = doc ?? `All settings of ${path === '' ? 'a pipeline file' : 'this section'}.`;
    const title = comment({ doc: `${what}${where}`, limits: null, byDefault: null }, '');
    this.#declared.set(name, { file: fileOf(path), body, text: `${title}export ${body}\n`, uses });
  }

  #typeOf(node: SchemaNode, path: string, uses: Set<string>): string {
    const used = (name: string): string => {
      uses.add(name);
      return name;
    };
    if (path === 'defaults') {
      const body = `type StreamDefaults = ${DEFAULTS_TYPE};`;
      this.#declare('StreamDefaults', path, body, new Set(['StreamSettings']), node.description);
      return used('StreamDefaults');
    }
    const values = node.enum ?? (node.const === undefined ? undefined : [node.const]);
    if (values !== undefined) return values.map(literal).join(' | ');
    const options = optionsOf(node);
    if (options !== null) {
      const key = discriminatorOf(options);
      if (key === null) return options.map((option) => this.#typeOf(option, path, uses)).join(' | ');
      const kinds = options.map((option) => {
        const kind = childOf(option, key);
        return this.section(option, `${path.replace(/\[\]$/, '')}[${key}=${kind?.const}]`, kind?.description);
      });
      const name = nameOf(path);
      this.#declare(
        name,
        path,
        `type ${name} = ${kinds.join(' | ')};`,
        new Set(kinds),
        `One of several, by \`${key}\`.`,
      );
      return used(name);
    }
    switch (node.type) {
      case 'integer':
      case 'number':
        return 'number';
      case 'string':
      case 'boolean':
        return node.type;
      case 'array':
        return this.#listOf(node, path, uses);
      default:
        return node.properties === undefined
          ? `{ readonly [name: string]: ${this.#typeOf(node.additionalProperties as SchemaNode, path, uses)} }`
          : used(this.section(node, path));
    }
  }

  #listOf({ prefixItems, items, description }: SchemaNode, path: string, uses: Set<string>): string {
    if (prefixItems !== undefined)
      return `readonly [${prefixItems.map((item) => this.#typeOf(item as SchemaNode, path, uses)).join(', ')}]`;
    const item = this.#typeOf(
      { ...(description !== undefined && { description }), ...(items as SchemaNode) },
      `${path}[]`,
      uses,
    );
    return /[ |]/.test(item) ? `readonly (${item})[]` : `readonly ${item}[]`;
  }
}

/** `streams[].zones[]` -> `ZoneSettings`, `sinks[][type=jsonl]` -> `JsonlSinkSettings`. */
function nameOf(path: string): string {
  const [, plain, kind = ''] = /([^.[\]]+)(?:\[\])?(?:\[\w+=(\w+)\])?$/.exec(path)!;
  const singular = path.endsWith(']') ? plain!.replace(/s$/, '') : plain!;
  return `${capital(kind)}${capital(singular)}Settings`;
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

function fileOf(path: string): string {
  const key = /^\w*/.exec(path)![0];
  return Object.entries(FILES).find(([, keys]) => keys.includes(key))?.[0] ?? Object.keys(FILES)[0]!;
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}

function comment({ doc, limits, byDefault }: KeyText, indent = '  '): string {
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
