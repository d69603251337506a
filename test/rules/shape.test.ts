import { describe, expect, it } from 'vitest';
import { codeOf, importsOf, readFiles, type SourceFile } from './source-files.ts';

/** Limit that calls for a review of longer files: cohesion beats a line cap, but few files need this much. */
const MOST_LINES = 500;
const MOST_LINES_OF_AN_ENTRY = 150;
/** A shorter file needs a second importer, a test of its own, or a reason. */
const FEWEST_LINES = 40;
/** Short files with a single importer and no test, and why they do not join that importer. */
const REASONS: Readonly<Record<string, string>> = {
  'src/client/msgpack.ts': 'a gateway serves its copy of MessagePack in place of it',
  'src/compile/tfjs/import-tfjs.ts': 'the entry of its folder, as import-onnx.ts is of its own',
  'src/control/rollout/guards/blind-guard.ts': 'one file per guard',
  'src/gateway/wanted-streams.ts': 'logic without sockets, which its importer holds',
  'src/runtime/model/verify-prepared.ts': 'its importer is a command, which must not know how models are compiled',
};
/** Names of files that do the same for different folders. */
const SHARED_NAMES: ReadonlySet<string> = new Set(['decode.ts', 'index.ts']);
const own = readFiles(['src', 'models', 'workers'], ['.ts']);
const library = own.filter(({ path }) => !path.startsWith('workers/'));
const everything = [...own, ...readFiles(['test', 'bench', 'web'], ['.ts', '.js', '.css', '.html'])];

function named(files: readonly SourceFile[]): string[] {
  return files.map(({ path, lineCount }) => `${path} (${lineCount} lines)`);
}

/** @param permitted - a line that any file may have. */
function using(pattern: RegExp, permitted = /$^/): string[] {
  const lines = (file: SourceFile): string[] =>
    codeOf(file)
      .split('\n')
      .filter((line) => !permitted.test(line));
  return library.filter((file) => lines(file).some((line) => pattern.test(line))).map(({ path }) => path);
}

/** Made from the schemas, and not committed. */
const GENERATED = /^src\/(?:config|protocol)\/keys\//;

describe('size', () => {
  it(`no file has more than ${MOST_LINES} lines`, () => {
    expect(named(everything.filter(({ path, lineCount }) => lineCount > MOST_LINES && !GENERATED.test(path)))).toEqual(
      [],
    );
  });

  it(`the entry points in workers have fewer than ${MOST_LINES_OF_AN_ENTRY}`, () => {
    const entries = own.filter(({ path }) => path.startsWith('workers/'));
    expect(entries.length).toBeGreaterThan(0);
    expect(named(entries.filter(({ lineCount }) => lineCount >= MOST_LINES_OF_AN_ENTRY))).toEqual([]);
  });
});

describe('satellites', () => {
  const importers = new Map<string, number>();
  for (const path of own.flatMap((file) => [...new Set(importsOf(file).files)]))
    importers.set(path, (importers.get(path) ?? 0) + 1);
  const tests = readFiles(['test'], ['.test.ts']);
  const tested = new Set(tests.flatMap((file) => importsOf(file).files));
  const testNames = new Set(tests.map(({ path }) => path));
  const hasTest = (path: string): boolean =>
    tested.has(path) || testNames.has(path.replace(/^src\//, 'test/unit/').replace(/\.ts$/, '.test.ts'));

  it(`a file under ${FEWEST_LINES} lines with one importer has a test of its own or is on the list of reasons`, () => {
    const satellites = own.filter(
      ({ path, lineCount }) =>
        path.startsWith('src/') && lineCount < FEWEST_LINES && importers.get(path) === 1 && !hasTest(path),
    );
    expect(satellites.map(({ path }) => path).sort()).toEqual(Object.keys(REASONS).sort());
  });
});

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
