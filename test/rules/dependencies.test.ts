import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FETCHED_VERSIONS } from '../../src/base/process/fetched-packages.ts';
import { importsOf, readFiles } from './source-files.ts';

interface PackageJson {
  readonly dependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly scripts: Record<string, string>;
}

const { dependencies, optionalDependencies, devDependencies, scripts } = JSON.parse(
  readFileSync('package.json', 'utf8'),
) as PackageJson;

interface LockedPackage {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly license?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly optional?: boolean;
}

const { packages: locked } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  readonly packages: Record<string, LockedPackage>;
};

/** Licences that permit commercial use in a program under another licence. LGPL: ffmpeg runs as a program of its own. */
const LICENCES: ReadonlySet<string> = new Set([
  'Apache-2.0',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'LGPL-2.1',
  'MIT',
  'MIT-0',
]);

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
    const tool = { '@arethetypeswrong/cli': 'attw', '@biomejs/biome': 'biome', typescript: 'tsc' }[name] ?? name;
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
        .packages.filter((name) => ![dependencies, optionalDependencies, FETCHED_VERSIONS].some((list) => name in list))
        .map((name) => `${file.path} -> ${name}`),
    );
    expect(undeclared).toEqual([]);
  });

  it('bullmq is pinned to the installed version: src/fleet/control/redis/bull-layout.ts depends on its private layout', () => {
    const { version } = JSON.parse(readFileSync('node_modules/bullmq/package.json', 'utf8')) as { version: string };
    expect(dependencies.bullmq).toMatch(/^\d+\.\d+\.\d+$/);
    expect(version).toBe(dependencies.bullmq);
    expect(locked['']?.dependencies?.bullmq).toBe(dependencies.bullmq);
    expect(locked['node_modules/bullmq']?.version).toBe(dependencies.bullmq);
  });

  it.each(Object.keys({ ...dependencies, ...optionalDependencies }))('%s has a licence for commercial use', (name) => {
    expect(LICENCES).toContain(locked[`node_modules/${name}`]?.license);
  });

  it('no package that users must install has an install script, which could fail', () => {
    const scripted = Object.entries(locked).filter(
      ([, { hasInstallScript, optional, dev, devOptional }]) => hasInstallScript && !optional && !dev && !devOptional,
    );
    expect(scripted.map(([path]) => path)).toEqual([]);
  });

  it('the lock file names no download addresses', () => {
    expect(Object.keys(locked).filter((path) => locked[path]?.resolved !== undefined)).toEqual([]);
  });

  describe.each(Object.entries(FETCHED_VERSIONS))('%s, which is fetched when it is needed', (name, version) => {
    const { packages } = JSON.parse(
      readFileSync(`workers/requirements/${basename(name)}/package-lock.json`, 'utf8'),
    ) as { readonly packages: Record<string, LockedPackage> };
    const fetched = Object.entries(packages).filter(([path]) => path !== '');

    it('has one version in the code, in its lock file and in a clone, and the same content', () => {
      expect(devDependencies[name]).toBe(version);
      const given = JSON.parse(
        readFileSync(`workers/requirements/${basename(name)}/package.json`, 'utf8'),
      ) as PackageJson;
      expect(given.dependencies).toEqual({ [name]: version });
      expect(packages['']?.dependencies).toEqual({ [name]: version });
      const path = `node_modules/${name}`;
      expect(packages[path]).toMatchObject({ version, integrity: locked[path]!.integrity });
    });

    it('every package comes from the registry that the user has set, and has a hash', () => {
      expect(fetched.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? ''))).toEqual([]);
      expect(fetched.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    });

    it('is only imported for its types: it may not be there when the code is loaded', () => {
      const eager = shipped.filter(({ text }) =>
        new RegExp(`^import (?!type )[^;]*from '${name}'|await import\\('${name}'\\)`, 'm').test(text),
      );
      expect(eager.map(({ path }) => path)).toEqual([]);
    });
  });

  it('OpenTelemetry is loaded only where tracing is opened', () => {
    const importers = shipped.filter(({ text }) => text.includes("import('@opentelemetry/"));
    expect(importers.map(({ path }) => path)).toEqual(['src/frame/telemetry/tracing/open-tracing.ts']);
    const eager = shipped.filter(({ text }) => /^import (?!type )[^;]*from '@opentelemetry/m.test(text));
    expect(eager.map(({ path }) => path)).toEqual([]);
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
