import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { type ConfigRow, describeConfig } from '../../src/serve/pipeline/describe.ts';
import { pipelineConfig } from '../../src/serve/pipeline/pipeline.ts';
import type { PipelineSettings } from '../../src/settings/config/keys/pipeline-keys.ts';
import { jsonSchemaOf } from '../../src/settings/config/schema-text.ts';
import { settingsSource } from '../../workers/settings-source.ts';

const FOLDER = 'src/settings/config/keys';

/** As a program may write it: lists need not be mutable, and every key is looked at. */
type Whole<T> = T extends string | number | boolean | undefined
  ? T
  : T extends readonly [unknown, ...unknown[]]
    ? { readonly [K in keyof T]: Whole<T[K]> }
    : T extends readonly (infer E)[]
      ? readonly Whole<E>[]
      : { readonly [K in keyof T]-?: Whole<T[K]> };
type Checked = z.input<typeof pipelineConfig>;
type IsAssignable<From, To> = [From] extends [To] ? true : false;

interface Member {
  readonly doc: string;
  readonly isOptional: boolean;
  readonly type: string;
}

/** The members of each interface, and those that each other name stands for. */
function readInterfaces(texts: readonly string[]) {
  const interfaces = new Map<string, ReadonlyMap<string, Member>>();
  const aliases = new Map<string, string>();
  for (const text of texts) {
    for (const [, name, body] of text.matchAll(/^export interface (\w+) \{\n([\s\S]*?)^\}/gm)) {
      const members = [...body!.matchAll(/ {2}\/\*\*([\s\S]*?)\*\/\s+readonly (\w+)(\??):\s([^;]+);/g)];
      interfaces.set(
        name!,
        new Map(
          members.map(([, doc, key, mark, type]) => [
            key!,
            { doc: doc!.replace(/\s+\*?\s*/g, ' ').trim(), isOptional: mark === '?', type: type! },
          ]),
        ),
      );
      expect(interfaces.get(name!)?.size, `documented keys of ${name}`).toBe(body!.match(/^ {2}readonly /gm)?.length);
    }
    for (const [, name, type] of text.matchAll(/^export type (\w+) =([^;]+);/gm)) aliases.set(name!, type!);
  }
  return { interfaces, aliases };
}

/** Follows a path such as `sinks[type=jsonl].rotate.maxMb` through the interfaces. */
function memberAt(path: string, { interfaces, aliases }: ReturnType<typeof readInterfaces>): Member | undefined {
  const sectionsOf = (type: string): ReadonlyMap<string, Member>[] =>
    [...type.matchAll(/[A-Z]\w+/g)].flatMap(([name]) => {
      const alias = aliases.get(name);
      const section = interfaces.get(name);
      return alias === undefined ? (section === undefined ? [] : [section]) : sectionsOf(alias);
    });
  let sections = [interfaces.get('PipelineSettings')!];
  let member: Member | undefined;
  for (const [, key, by, kind] of path.matchAll(/(\w+)(?:\[\]|\[(\w+)=([\w-]+)\])?/g)) {
    member = sections.map((section) => section.get(key!)).find((found) => found !== undefined);
    sections = sectionsOf(member?.type ?? '');
    if (by !== undefined) sections = sections.filter((section) => section.get(by)?.type === `'${kind}'`);
  }
  return member;
}

function shownDefault(member: Member): string {
  const written = /@defaultValue `(.*)`$/.exec(member.doc)?.[1];
  if (written !== undefined) return written.replace(/^'(.*)'$/, '"$1"');
  return member.isOptional ? 'absent' : 'required';
}

describe('the types of settings', () => {
  const files = Object.entries(settingsSource(jsonSchemaOf(pipelineConfig))).map(([file, text]) => ({
    path: `${FOLDER}/${file}`,
    text,
  }));

  it.each(files)('$path is what the schemas give', ({ path, text }) => {
    expect(readFileSync(path, 'utf8'), 'node workers/settings-types.mjs writes it').toBe(text);
  });

  it('show meaning, limits and default of every key in an editor', () => {
    const known = readInterfaces(files.map(({ path }) => readFileSync(path, 'utf8')));
    const wrong = describeConfig().filter((row: ConfigRow) => {
      const member = memberAt(row.key, known);
      if (member === undefined || !member.doc.startsWith(row.doc)) return true;
      const hasLimits = !/\d to -?\d/.test(row.type) || member.doc.includes(`Accepts: ${row.type}`);
      return !hasLimits || shownDefault(member) !== (row.default === 'see below' ? 'absent' : row.default);
    });
    expect(wrong).toEqual([]);
  });

  it('accept what the schemas accept, and nothing else', () => {
    const ofSettings: IsAssignable<Whole<PipelineSettings>, Whole<Checked>> = true;
    const ofSchemas: IsAssignable<Whole<Checked>, Whole<PipelineSettings>> = true;
    const asTheyAre: IsAssignable<Checked, PipelineSettings> = true;
    expect([ofSettings, ofSchemas, asTheyAre]).toEqual([true, true, true]);
  });
});
