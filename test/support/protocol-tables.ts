import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Field {
  /** Names from the interface down to the field. */
  readonly path: readonly string[];
  readonly type: string;
  readonly doc: string;
}

interface Interface {
  readonly doc: string;
  /** What it extends, as written; empty if nothing. */
  readonly bases: string;
  readonly body: string;
}

/** What is declared in the sources of the protocol, by name. Reads them as the formatter writes them. */
export class ProtocolSources {
  readonly #interfaces = new Map<string, Interface>();
  /** Values of unions, by the name of the type. */
  readonly #unions = new Map<string, readonly string[]>();

  constructor() {
    const names = readdirSync('src/wire/protocol', { recursive: true, encoding: 'utf8' });
    const files = names.filter((name) => name.endsWith('.ts')).map((name) => join('src/wire/protocol', name));
    const text = [...files, 'src/base/core/detection.ts', 'src/base/core/frame.ts']
      .map((file) => readFileSync(file, 'utf8'))
      .join('\n');
    const declared = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport interface (\w+)([^{]*)\{\n([\s\S]*?)^\}/gm;
    for (const [, doc, name, bases, body] of text.matchAll(declared))
      this.#interfaces.set(name!, { doc: plain(doc!), bases: bases!, body: body! });
    const lists = new Map(
      [...text.matchAll(/^export const (\w+) = \[([^\]]*)\] as const/gm)].map(([, name, list]) => [name!, list!]),
    );
    for (const [, type, list] of text.matchAll(/^export type (\w+) = \(typeof (\w+)\)\[number\];/gm))
      this.#unions.set(
        type!,
        [...(lists.get(list!) ?? '').matchAll(/'([^']+)'/g)].map((match) => match[1]!),
      );
  }

  /** Returns the first paragraph of the docstring of an interface. */
  summary(name: string): string {
    return this.#interface(name).doc;
  }

  /** Returns the fields of an interface as a table. */
  table(name: string): string {
    const rows = this.#fieldsOf(name).map(({ path, type, doc }) => {
      const names = path.map((part) => `\`${part}\``).join(' ');
      return `| ${names} | ${cell(type)} | ${cell(doc)} |`;
    });
    return ['| field | type | meaning |', '|---|---|---|', ...rows].join('\n');
  }

  #interface(name: string): Interface {
    const found = this.#interfaces.get(name);
    if (found === undefined) throw new RangeError(`no interface ${name} in src/wire/protocol`);
    return found;
  }

  #fieldsOf(name: string): Field[] {
    const { bases, body } = this.#interface(name);
    const leftOut = new Set([...bases.matchAll(/'(\w+)'/g)].map((match) => match[1]));
    const inherited = [...bases.matchAll(/\b[A-Z]\w+/g)]
      .filter(([base]) => this.#interfaces.has(base))
      .flatMap(([base]) => this.#fieldsOf(base).filter(({ path }) => !leftOut.has(path[0])));
    const own = this.#fieldsIn(body);
    const names = new Set(own.map(({ path }) => path[0]));
    return [...inherited.filter(({ path }) => !names.has(path[0]!)), ...own];
  }

  #fieldsIn(body: string): Field[] {
    const fields: Field[] = [];
    const above: string[] = [];
    const parts = body.matchAll(
      /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/|readonly (\w+)(\??):\s*(?:(\{)|([^;{]*);)|(\}[^;]*;)/g,
    );
    let doc = '';
    for (const [, comment, name, mark, opens, type, closes] of parts) {
      if (comment !== undefined) doc = plain(comment);
      if (closes !== undefined) above.pop();
      if (name === undefined) continue;
      const text = mark === '?' && !/absent|only/i.test(doc) ? `${doc} May be absent.` : doc;
      fields.push({ path: [...above, name], type: opens === undefined ? this.#typeText(type!) : 'section', doc: text });
      if (opens !== undefined) above.push(name);
      doc = '';
    }
    return fields;
  }

  /** A type as a reader of JSON sees it. */
  #typeText(written: string): string {
    const type = written
      .replaceAll(/\breadonly |\s*\| undefined$/g, '')
      .replaceAll(/\s+/g, ' ')
      .trim();
    const byWord = /^Readonly<(?:Partial<)?Record<('[^>]*'), (\w+)>/.exec(type);
    if (byWord !== null) return `${this.#typeText(byWord[2]!)} by ${this.#typeText(byWord[1]!)}`;
    const byKey = /^Readonly<(?:Partial<)?Record<(\w+), (\w+)>/.exec(type);
    if (byKey !== null && this.#unions.has(byKey[1]!)) return `${byKey[2]} by ${this.#typeText(byKey[1]!)}`;
    const known = this.#unions.get(type.replace(/ \| null$/, ''));
    if (known !== undefined && known.length > 0) return known.map((value) => `\`${value}\``).join(', ');
    if (/^(?:\| )?'[^|]*'(?: \| '[^|]*')*$/.test(type))
      return [...type.matchAll(/'([^']*)'/g)].map(([, value]) => `\`${value}\``).join(', ');
    return /^[\w[\]| ]{1,40}$/.test(type)
      ? type.replaceAll('string', 'text').replaceAll('boolean', 'true or false').replaceAll(' | ', ' or ')
      : 'object';
  }
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** The first paragraph of a docstring in one line. */
function plain(doc: string): string {
  const text = doc.replaceAll(/^\s*\* ?/gm, '').trim();
  return text.split('\n\n')[0]!.replaceAll(/\s+/g, ' ');
}
