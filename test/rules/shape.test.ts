import { describe, expect, it } from 'vitest';
import { codeOf, readFiles, type SourceFile } from './source-files.ts';

/** Limit that calls for a review of longer files: cohesion beats a line cap, but few files need this much. */
const MOST_LINES = 500;
const MOST_LINES_OF_AN_ENTRY = 150;
const own = readFiles(['src', 'models', 'workers'], ['.ts']);
const library = own.filter(({ path }) => !path.startsWith('workers/'));
const everything = [...own, ...readFiles(['test', 'bench', 'web'], ['.ts', '.js', '.css', '.html'])];

function named(files: readonly SourceFile[]): string[] {
  return files.map(({ path, lineCount }) => `${path} (${lineCount} lines)`);
}

function using(pattern: RegExp): string[] {
  return library.filter((file) => pattern.test(codeOf(file))).map(({ path }) => path);
}

describe('size', () => {
  it(`no file has more than ${MOST_LINES} lines`, () => {
    expect(named(everything.filter(({ lineCount }) => lineCount > MOST_LINES))).toEqual([]);
  });

  it(`the entry points in workers have fewer than ${MOST_LINES_OF_AN_ENTRY}`, () => {
    const entries = own.filter(({ path }) => path.startsWith('workers/'));
    expect(entries.length).toBeGreaterThan(0);
    expect(named(entries.filter(({ lineCount }) => lineCount >= MOST_LINES_OF_AN_ENTRY))).toEqual([]);
  });
});

describe('only workers touch the process: the library', () => {
  it.each([
    ['does not use the console', /\bconsole\s*\./],
    ['does not read the environment', /\bprocess\s*\.\s*env\b|\bfrom\s+'node:process'/],
    ['does not end the process', /\bprocess\s*\.\s*(?:exit|abort|reallyExit)\b/],
    ['does not listen to signals', /\bprocess\s*\.\s*(?:on|once)\s*\(/],
    ['does not use the parent port', /\bparentPort\b/],
  ])('%s', (_, pattern) => {
    expect(using(pattern)).toEqual([]);
  });
});

describe('names', () => {
  it('describe what a thing does, not its kind', () => {
    const vague = /(^|[/.-])(utils?|helpers?|types?|interfaces?|managers?|misc|common)([/.-]|$)/;
    expect(everything.filter(({ path }) => vague.test(path)).map(({ path }) => path)).toEqual([]);
  });

  it('of files are kebab-case', () => {
    const odd = everything.filter(({ path }) => !/^[a-z0-9.-]+$/.test(path.split('/').at(-1)!));
    expect(odd.map(({ path }) => path)).toEqual([]);
  });
});
