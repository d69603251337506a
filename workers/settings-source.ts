import { childOf, discriminatorOf, optionsOf, type SchemaNode } from '../src/settings/config/schema-text.ts';
import { comment, keyText, literal, nameOf } from './settings-words.ts';

/** The files, in the order of their imports, and the keys of a pipeline file that each has; the first one has the others. */
const FILES: Readonly<Record<string, readonly string[]>> = {
  'pipeline-keys.ts': [],
  'gateway-keys.ts': ['gateway'],
  'sink-keys.ts': ['sinks'],
  'stream-keys.ts': ['streams', 'defaults'],
  'event-keys.ts': ['streams[].events'],
};
/** Given by `defaults`, which has the keys of a stream once more. */
const DEFAULTS_TYPE = `Omit<StreamSettings, 'id' | 'source' | 'restream'>`;
const HEADER = '// Made from the schemas by workers/settings-types.mjs. Not a file to edit.\n';

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
    const name = nameOf(path);
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
      case 'null':
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

function fileOf(path: string): string {
  const isIn = (key: string): boolean => path.startsWith(key) && !/\w/.test(path.charAt(key.length));
  // The last one: a part of a section may have a file of its own.
  return Object.entries(FILES).findLast(([, keys]) => keys.some(isIn))?.[0] ?? Object.keys(FILES)[0]!;
}
