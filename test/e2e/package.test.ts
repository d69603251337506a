import { execFile, execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/cli.ts';

const run = promisify(execFile);
const MINUTES = 60_000;
const CLIP = 'synthetic:testsrc2=size=320x180:rate=10:duration=1';
const MOST_BYTES = 450e6;

const registry = npmText('config', 'get', 'registry');
const hasRegistry = npmText('view', 'zod', 'name', '--fetch-retries=0', '--fetch-timeout=10000') === 'zod';
if (!hasRegistry) console.warn('SKIPPED: what users of the package get: the npm registry cannot be reached');

/** What a user writes against the types of the package. */
const EXAMPLE = `
import { type ErrorCode, type ResultRecord, Sightline, SightlineError } from 'sightline';

const engine = await Sightline.open({
  model: { name: 'centernet', engine: 'fake' },
  streams: [{ id: 'one', source: '${CLIP}', policy: 'file' }],
  env: process.env,
  onNotice: (text) => console.error(text),
});
const results: ResultRecord[] = [];
try {
  for await (const result of engine.results()) results.push(result);
} finally {
  await engine.close();
}
let code: ErrorCode | null = null;
try {
  await Sightline.open({ model: '/nowhere/a.yaml' });
} catch (error) {
  if (error instanceof SightlineError) code = error.code;
}
console.log(JSON.stringify({ frames: results.map(({ frame }) => frame), code }));
`;

/** What docs/library.md shows, in a module of its own. */
const LEAST_EXAMPLE = `
import { Sightline, SightlineError } from 'sightline';

try {
  await using engine = await Sightline.open({ streams: [{ id: 'door', source: 'demo', track: {} }] });
  for await (const { stream, detections } of engine.results()) console.log(stream, detections);
} catch (error) {
  if (!(error instanceof SightlineError) || error.code !== 'SINK_BUSY') throw error;
  const pid: number | undefined = error.details.pid;
  console.log(pid);
}
`;

/** As strict as a project can be: the declarations of the package and of what they name are checked as well. */
const TSCONFIG = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2023',
    lib: ['es2023'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noPropertyAccessFromIndexSignature: true,
    skipLibCheck: false,
  },
  files: ['example.ts'],
};

describe.skipIf(!hasRegistry)('the package, installed from its tarball into an empty project', () => {
  const temporary = temporaryFolder();
  const project = join(temporary.path, 'project');
  const home = join(temporary.path, 'home');
  /** Of a user who has set nothing: an empty home, none of npm's and Sightline's settings. The cache of npm only saves time. */
  const env = {
    ...Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(?:npm_|SIGHTLINE_|XDG_|NODE_)/i.test(name)),
    ),
    HOME: home,
    npm_config_registry: registry,
    npm_config_cache: npmText('config', 'get', 'cache'),
    // npm looks for the machine's settings, such as its certificates, beside the Node.js that runs it, here perhaps another one.
    npm_config_globalconfig: npmText('config', 'get', 'globalconfig'),
    PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
  };
  const command = (name: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> =>
    run(name, args, { cwd: project, env, maxBuffer: 2 ** 26 });
  const npm = (...args: string[]) => command('npm', ...args, '--no-audit', '--no-fund', '--prefer-offline');
  const typescript = resolve('node_modules/typescript/bin/tsc');

  beforeAll(async () => {
    mkdirSync(project);
    mkdirSync(home);
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'project', private: true, type: 'module' }));
    writeFileSync(join(project, 'example.ts'), EXAMPLE);
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(TSCONFIG));
    const packed = npmText('pack', '--json', '--pack-destination', temporary.path);
    const [entry] = Object.values(JSON.parse(packed) as Record<string, { filename: string }>);
    await npm('install', '--ignore-scripts', join(temporary.path, entry!.filename), '@types/node@22');
  }, 6 * MINUTES);

  afterAll(() => temporary.remove(), 3 * MINUTES);

  it(`weighs less than ${MOST_BYTES / 1e6} MB`, () => {
    expect(bytesIn(join(project, 'node_modules'))).toBeLessThan(MOST_BYTES);
  });

  it('its types hold in a strict project that checks declarations too', async () => {
    const { stdout } = await command(process.execPath, typescript, '-p', '.').catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe('');
  });

  it(
    'its types hold for the least TypeScript that docs/library.md names, with the settings that it names',
    async (context) => {
      const docs = readFileSync('docs/library.md', 'utf8');
      const [, version, lib] = /types are for TypeScript (\d+\.\d+) or later, with `"lib": \["(\w+)"\]`/.exec(docs)!;
      const least = join(temporary.path, 'least');
      const fetched = await npm('install', '--prefix', least, `typescript@${version}`).catch(() => null);
      if (fetched === null) {
        console.warn(`SKIPPED: the least TypeScript: npm cannot fetch typescript@${version}`);
        return context.skip();
      }
      const options = { module: 'nodenext', target: 'es2022', lib: [lib], types: ['node'], strict: true, noEmit: true };
      const settings = { compilerOptions: { ...options, skipLibCheck: true }, files: ['least.ts'] };
      writeFileSync(join(project, 'least.ts'), LEAST_EXAMPLE);
      writeFileSync(join(project, 'least.json'), JSON.stringify(settings));
      const tsc = join(least, 'node_modules/typescript/bin/tsc');
      const { stdout } = await command(process.execPath, tsc, '-p', 'least.json').catch(
        (error: { stdout: string }) => error,
      );
      expect(stdout).toBe('');
    },
    MINUTES,
  );

  it(
    'runs as a library',
    async () => {
      const { stdout } = await command(process.execPath, 'example.js');
      expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toEqual({
        frames: Array.from({ length: 10 }, (_, frame) => frame),
        code: 'MODEL_NOT_FOUND',
      });
    },
    MINUTES,
  );

  it(
    'detects at the first start, says what it fetches, and fetches nothing at the second',
    async () => {
      const detect = (out: string) =>
        command('npx', '--no-install', 'sightline', 'detect', CLIP, '--engine', 'onnx', '--out', out);
      const first = await detect('first.jsonl');
      expect(first.stderr).toMatch(/fetching onnxruntime-node \S+ with npm, once: \d+ MB/);
      const second = await detect('second.jsonl');
      expect(second.stderr).not.toContain('fetching');
      const lines = readFileSync(join(project, 'first.jsonl'), 'utf8').trimEnd().split('\n');
      expect(lines).toHaveLength(10);
      expect(readFileSync(join(project, 'second.jsonl'), 'utf8').trimEnd().split('\n')).toEqual(lines);
      expect(bytesIn(join(project, 'node_modules')) + bytesIn(join(home, '.cache'))).toBeLessThan(MOST_BYTES);
    },
    3 * MINUTES,
  );

  it(
    'has the examples, which run where it is installed',
    async () => {
      const { stdout } = await command(process.execPath, 'node_modules/sightline/examples/custom-sink.mjs', CLIP);
      expect(stdout).toMatch(/^minute 0: /);
    },
    MINUTES,
  );

  it(
    'finds ffmpeg, sharp and its engines, without the scripts of any dependency',
    async () => {
      const { stdout } = await command('npx', '--no-install', 'sightline', 'doctor', '--json');
      const findings = JSON.parse(stdout) as { what: string; verdict: string }[];
      expect(findings.filter(({ verdict }) => verdict === 'missing')).toEqual([]);
      for (const engine of ['engine onnx', 'engine wasm'])
        expect(findings).toContainEqual(expect.objectContaining({ what: engine, verdict: 'ok' }));
    },
    MINUTES,
  );

  it(
    'takes ONNX Runtime into the package with the command of docs/deploy.md, and then fetches nothing',
    async () => {
      await npm('ci', '--ignore-scripts', '--prefix', 'node_modules/sightline/workers/requirements/onnxruntime-node');
      const own = { ...env, SIGHTLINE_CACHE_DIR: join(temporary.path, 'other-cache') };
      const { stdout } = await run('npx', ['--no-install', 'sightline', 'doctor', '--json'], {
        cwd: project,
        env: own,
      });
      const findings = JSON.parse(stdout) as { what: string; found: string }[];
      expect(findings.find(({ what }) => what === 'engine onnx')!.found).toMatch(/^onnxruntime-node /);
    },
    2 * MINUTES,
  );

  it(
    'every install script of a dependency succeeds where only the registry can be reached',
    async () => {
      // What `npm install` does after it has unpacked, unless scripts are off.
      await npm('rebuild', '--no-ignore-scripts');
      const { stdout } = await command('npx', '--no-install', 'sightline', '--version');
      expect(stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/);
    },
    MINUTES,
  );
});

describe.skipIf(!hasRegistry)('publishing', () => {
  it('would be clean: npm mends nothing, and CHANGELOG.md has the version', async () => {
    const { stderr } = await run('npm', ['publish', '--dry-run', '--ignore-scripts'], { maxBuffer: 2 ** 26 });
    const warnings = stderr.split('\n').filter((line) => /^npm (?:warn|error)/.test(line));
    // Publishing needs a log-in.
    expect(warnings.filter((line) => !line.includes('requires you to be logged in'))).toEqual([]);
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(readFileSync('CHANGELOG.md', 'utf8')).toMatch(
      new RegExp(`^## (?:\\[)?${version.replaceAll('.', '\\.')}`, 'm'),
    );
  });
});

/** Prints nothing of npm's own; empty if it fails. */
function npmText(...args: string[]): string {
  try {
    return execFileSync('npm', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
}

/** Space on the disk, in whole blocks. */
function bytesIn(folder: string): number {
  const paths = readdirSync(folder, { recursive: true }) as string[];
  return paths.reduce((sum, path) => sum + lstatSync(join(folder, path)).blocks * 512, 0);
}
