import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { importsOf, readFiles } from './source-files.ts';

interface PackageJson {
  readonly dependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly scripts: Record<string, string>;
}

type LockedPackages = Record<
  string,
  { readonly version?: string; readonly dependencies?: Readonly<Record<string, string>> }
>;

const { dependencies, optionalDependencies, devDependencies, scripts } = JSON.parse(
  readFileSync('package.json', 'utf8'),
) as PackageJson;

const shipped = readFiles(['src', 'models', 'workers'], ['.ts', '.mjs']);
const tooling = readFiles(['test', 'bench'], ['.ts', '.mjs']);

/** Packages that a text names in quotes: imported, resolved, or served to the browser. */
function isNamed(name: string, texts: readonly string[]): boolean {
  return texts.some((text) => text.includes(`'${name}'`) || text.includes(`'${name}/`));
}

describe('dependencies', () => {
  it.each(Object.keys({ ...dependencies, ...optionalDependencies }))('%s is used by shipped code', (name) => {
    expect(
      isNamed(
        name,
        shipped.map(({ text }) => text),
      ),
    ).toBe(true);
  });

  it.each(Object.keys(devDependencies))('%s is used by tests, benches, scripts or the type check', (name) => {
    if (name.startsWith('@types/')) {
      const typed = name.slice('@types/'.length);
      expect(typed === 'node' || typed in dependencies || typed in devDependencies).toBe(true);
      return;
    }
    const commands = Object.values(scripts).join(' ');
    const tool = { '@biomejs/biome': 'biome', typescript: 'tsc' }[name] ?? name;
    expect(
      commands.includes(tool) ||
        isNamed(
          name,
          tooling.map(({ text }) => text),
        ),
    ).toBe(true);
  });

  it('shipped code imports only dependencies of package.json', () => {
    const undeclared = shipped.flatMap((file) =>
      importsOf(file)
        .packages.filter((name) => !(name in dependencies) && !(name in optionalDependencies))
        .map((name) => `${file.path} -> ${name}`),
    );
    expect(undeclared).toEqual([]);
  });

  it('bullmq is pinned to the installed version: src/control/redis/bull-layout.ts depends on its private layout', () => {
    const { version } = JSON.parse(readFileSync('node_modules/bullmq/package.json', 'utf8')) as { version: string };
    const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: LockedPackages };
    expect(dependencies.bullmq).toMatch(/^\d+\.\d+\.\d+$/);
    expect(version).toBe(dependencies.bullmq);
    expect(packages['']?.dependencies?.bullmq).toBe(dependencies.bullmq);
    expect(packages['node_modules/bullmq']?.version).toBe(dependencies.bullmq);
  });

  it('an optional package is only imported dynamically', () => {
    const eager = shipped.flatMap(({ path, text }) =>
      Object.keys(optionalDependencies)
        .filter((name) => new RegExp(`^import [^;]*from '${name}`, 'm').test(text))
        .map((name) => `${path} -> ${name}`),
    );
    expect(eager).toEqual([]);
  });
});
