import { describe, expect, it } from 'vitest';
import { codeOf, readFiles, type SourceFile } from './source-files.ts';

/** Names of files that do the same for different folders. */
const SHARED_NAMES: ReadonlySet<string> = new Set(['decode.ts', 'index.ts']);
const own = readFiles(['src', 'models', 'workers'], ['.ts']);
const library = own.filter(({ path }) => !path.startsWith('workers/'));
const everything = [...own, ...readFiles(['test', 'bench', 'web'], ['.ts', '.js', '.css', '.html'])];

/** @param permitted - a line that any file may have. */
function using(pattern: RegExp, permitted = /$^/): string[] {
  const lines = (file: SourceFile): string[] =>
    codeOf(file)
      .split('\n')
      .filter((line) => !permitted.test(line));
  return library.filter((file) => lines(file).some((line) => pattern.test(line))).map(({ path }) => path);
}

describe('only workers touch the process: the library', () => {
  it.each([
    ['does not use the console', /\bconsole\s*\./],
    // Native code has no other switch: see `disableTelemetry`.
    ['does not read the environment', /\bprocess\s*\.\s*env\b|\bfrom\s+'node:process'/, /process\.env\[NO_TELEMETRY\]/],
    ['does not end the process', /\bprocess\s*\.\s*(?:exit|abort|reallyExit)\b/],
    ['does not listen to signals', /\bprocess\s*\.\s*(?:on|once)\s*\(/],
    ['does not use the parent port', /\bparentPort\b/],
  ] as const)('%s', (_, pattern, permitted?: RegExp) => {
    expect(using(pattern, permitted)).toEqual([]);
  });
});

describe('names', () => {
  it('describe what a thing does, not its kind', () => {
    const vague = /(^|[/.-])(utils?|helpers?|types?|interfaces?|managers?|misc|common)([/.-]|$)/;
    expect(everything.filter(({ path }) => vague.test(path)).map(({ path }) => path)).toEqual([]);
  });

  it('of files are kebab-case', () => {
    // What the gateway serves of packages has their names.
    const own = everything.filter(({ path }) => !path.startsWith('web/.served/'));
    const odd = own.filter(({ path }) => !/^[a-z0-9.-]+$/.test(path.split('/').at(-1)!));
    expect(odd.map(({ path }) => path)).toEqual([]);
  });

  it('of files in src and models are used once', () => {
    const paths = new Map<string, string[]>();
    for (const { path } of library) {
      const name = path.split('/').at(-1)!;
      if (!SHARED_NAMES.has(name)) paths.set(name, [...(paths.get(name) ?? []), path]);
    }
    const repeated = [...paths.values()].filter((same) => same.length > 1).map((same) => same.sort());
    expect(repeated.sort()).toEqual([]);
  });
});

/** Parameters of each constructor of a file: commas of the outermost level. */
function parametersOf(file: SourceFile): number[] {
  return Array.from(
    codeOf(file)
      .replaceAll('=>', '')
      .matchAll(/\n {2,}(?:private |protected )?constructor(\([\s\S]*)/g),
    ([, rest]) => {
      let [depth, count, hasText] = [0, 0, false];
      for (const character of rest!) {
        if ('([{<'.includes(character)) depth += 1;
        if (')]}>'.includes(character)) depth -= 1;
        if (depth === 0) break;
        if (depth === 1 && character === ',') [count, hasText] = [count + 1, false];
        else if (/[^\s(]/.test(character)) hasText = true;
      }
      return count + (hasText ? 1 : 0);
    },
  );
}

it('constructors take an object of named things where there are more than four', () => {
  expect(
    parametersOf({ path: '', text: 'class A {\n  constructor(a: X<B, C>, { d, e }: F, g: () => H,) {}\n}' }),
  ).toEqual([3]);
  expect(own.filter((file) => parametersOf(file).some((count) => count > 4)).map(({ path }) => path)).toEqual([]);
});
