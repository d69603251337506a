import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

/** Names that an entry point exports from other files, by file. Settings are left out: they have a rule of their own. */
function exportsOf(entry: string): (readonly [file: string, names: readonly string[]])[] {
  const text = readFileSync(entry, 'utf8');
  return [...text.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';/gm)]
    .filter(([, , from]) => !from!.includes('/config/keys/'))
    .map(([, list, from]) => {
      const names = list!.split(',').map((name) => name.replace(/\btype\b/, '').trim());
      return [join(dirname(entry), from!), names.filter((name) => name !== '')] as const;
    });
}

const DECLARATION = /^export (?:const|function|async function|interface|class|abstract class|type) (\w+)/;
/** A public member of an interface or a class: a property, a method or an accessor. */
const MEMBER =
  /^( +)(?:(?:readonly|static|async|override|get|set) )*(\w+|\[Symbol\.\w+\])\??(?:<[^(]*>)?[(:=]|^( +)(?:readonly )(\w+) =/;

/** Returns the names in a file that have no docstring: `Type`, or `Type.member`. */
function undocumented(file: string, names: readonly string[]): string[] {
  const text = readFileSync(file, 'utf8');
  // Interfaces that are made from the schemas of a file.
  const made = /^} from '(\.\/keys\/[^']+)';|^export type .* from '(\.\/keys\/[^']+)';/m.exec(text);
  const also = made === null ? '' : readFileSync(join(dirname(file), made[1] ?? made[2]!), 'utf8');
  const lines = `${text}\n${also}`.split('\n');
  const missing: string[] = [];
  for (const name of names) {
    const at = lines.findIndex((line) => DECLARATION.exec(line)?.[1] === name);
    if (at === -1) {
      missing.push(`${name} (not declared in ${file})`);
      continue;
    }
    const isDocumented = (line: number): boolean => /\*\/$/.test(lines[line - 1]!.trim());
    if (!isDocumented(at)) missing.push(name);
    if (!/^export (?:interface|class) /.test(lines[at]!)) continue;
    const isClass = lines[at]!.startsWith('export class');
    const known = new Set<string>();
    for (let i = at + 1; lines[i] !== undefined && lines[i] !== '}'; i++) {
      const found = MEMBER.exec(lines[i]!);
      const [indent, member] = [found?.[1] ?? found?.[3], found?.[2] ?? found?.[4]];
      // Deeper lines of a class are code; those of an interface are the keys of an object.
      if (indent === undefined || member === undefined || (isClass && indent !== '  ')) continue;
      if (isDocumented(i)) known.add(member);
      // The implementation of an overloaded method has none.
      else if (!known.has(member)) missing.push(`${name}.${member}`);
    }
  }
  return missing;
}

describe.each(['src/index.ts', 'src/wire/client/index.ts'])('what %s exports', (entry) => {
  it('has a docstring on each type and each field, which an editor shows', () => {
    const files = exportsOf(entry);
    expect(files.flatMap(([, names]) => names).length).toBeGreaterThan(40);
    expect(files.flatMap(([file, names]) => undocumented(file, names))).toEqual([]);
  });
});
