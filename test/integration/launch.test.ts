import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isAlive } from '../support/processes.ts';
import { waitFor } from '../support/wait-for.ts';

const VERSION = '22.99.1';
const NAME = `node-${process.platform}-${process.arch}`;

/** This Node.js without `node:sqlite`, as an old one is. A Node.js that the launcher starts is this one without the flag. */
const OLD = '--no-experimental-sqlite';
const isSupported = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

/** Says where it runs, then does what its first argument says. */
const PROGRAM = `
import { appendFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { isBuiltin } from 'node:module';
import launch from './workers/launch.cjs';
await launch.useCurrentNode();
const [what, ...rest] = process.argv.slice(2);
const say = (text) => process.stdout.write(text + '\\n');
say(JSON.stringify({ hasSqlite: isBuiltin('node:sqlite'), cwd: process.cwd(), rest, pid: process.pid, mark: process.env.SIGHTLINE_LAUNCHER, path: process.env.PATH.split(':')[0], globalconfig: process.env.npm_config_globalconfig }));
if (what === 'exit') process.exitCode = Number(rest[0]);
if (what === 'signal') process.kill(process.pid, rest[0]);
if (what === 'echo') process.stdin.pipe(process.stdout);
if (what === 'wait') {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => say(signal));
  const child = spawn('sleep', ['1000']);
  say('child ' + child.pid);
  setInterval(() => undefined, 1000);
}
if (what === 'block') { say('blocked'); (await import('node:child_process')).spawnSync('sleep', ['1000']); }
`;

describe.skipIf(!isSupported)('in an old Node.js', () => {
  let root: string;
  let server: Server;
  let registry: string;
  let fetched = 0;
  let archive: Buffer;
  const children: ChildProcess[] = [];

  /** Packs what npm would serve: a program that is this Node.js as it is. */
  function pack(script: string): Buffer {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-node-'));
    mkdirSync(join(folder, 'package/bin'), { recursive: true });
    mkdirSync(join(folder, 'package/include'));
    writeFileSync(join(folder, 'package/package.json'), JSON.stringify({ name: NAME, version: VERSION }));
    writeFileSync(join(folder, 'package/include/node.h'), '');
    writeFileSync(join(folder, 'package/bin/node'), script);
    chmodSync(join(folder, 'package/bin/node'), 0o755);
    execFileSync('tar', ['-czf', 'node.tgz', 'package'], { cwd: folder });
    const packed = readFileSync(join(folder, 'node.tgz'));
    rmSync(folder, { recursive: true });
    return packed;
  }

  const integrityOf = (bytes: Buffer): string => `sha512-${createHash('sha512').update(bytes).digest('base64')}`;

  function lock(integrity: string): void {
    const packages = { [`node_modules/${NAME}`]: { version: VERSION, integrity } };
    writeFileSync(join(root, 'workers/requirements/node/package-lock.json'), JSON.stringify({ packages }));
  }

  beforeAll(async () => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'sightline-launch-')));
    mkdirSync(join(root, 'workers/requirements/node'), { recursive: true });
    copyFileSync('workers/launch.cjs', join(root, 'workers/launch.cjs'));
    writeFileSync(join(root, 'program.mjs'), PROGRAM);
    server = createServer((request, response) => {
      if (request.url === '/node.tgz') {
        fetched++;
        response.end(archive);
        return;
      }
      const dist = { tarball: `${registry}node.tgz`, integrity: integrityOf(archive) };
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          name: NAME,
          'dist-tags': { latest: VERSION },
          versions: { [VERSION]: { name: NAME, version: VERSION, dist } },
        }),
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    archive = pack(`#!/bin/sh\nunset NODE_OPTIONS\nexec "${process.execPath}" "$@"\n`);
    lock(integrityOf(archive));
  });
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    server?.close();
    rmSync(root, { recursive: true, force: true });
  });
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(root, 'home-'));
    fetched = 0;
  });

  interface StartOptions {
    readonly env?: NodeJS.ProcessEnv;
    readonly entry?: readonly string[];
    readonly detached?: boolean;
  }

  function start(args: readonly string[], { env = {}, entry = ['program.mjs'], detached = false }: StartOptions = {}) {
    const { npm_execpath: _, npm_config_globalconfig: __, ...rest } = process.env;
    const child = spawn(process.execPath, [...entry, ...args], {
      cwd: root,
      detached,
      env: {
        ...rest,
        HOME: home,
        XDG_CACHE_HOME: '',
        SIGHTLINE_CACHE_DIR: undefined,
        NODE_OPTIONS: OLD,
        npm_config_registry: registry,
        ...env,
      },
    });
    children.push(child);
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (text) => {
      output.stdout += text;
    });
    child.stderr.on('data', (text) => {
      output.stderr += text;
    });
    const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, ...output }));
    return { child, output, ended };
  }
  const run = (args: readonly string[], options?: StartOptions) => start(args, options).ended;
  const place = () => join(home, '.cache/sightline/packages');
  const factsOf = (stdout: string) => JSON.parse(stdout.split('\n')[0]!);

  it('goes on with one of npm, fetched once, said in one line, kept and found again without a network', async () => {
    const first = await run(['exit', '7', 'a b', '"quoted"', '$HOME']);
    expect(first.stderr).toBe(
      `Node ${process.versions.node} is too old; using Node ${VERSION} from npm, fetched once, 45 MB\n`,
    );
    expect(first.code).toBe(7);
    const facts = factsOf(first.stdout);
    expect(facts).toMatchObject({ hasSqlite: true, cwd: root, rest: ['7', 'a b', '"quoted"', '$HOME'] });
    expect(facts).not.toHaveProperty('mark');
    const folder = join(place(), `node-${VERSION}-${process.platform}-${process.arch}`);
    expect(facts.path).toBe(join(folder, 'bin'));
    expect(facts.globalconfig).toMatch(/npmrc$/);
    expect(readdirSync(folder).sort()).toEqual(['bin', 'npm.json', 'package.json']);
    expect(readdirSync(place())).toHaveLength(1);
    const second = await run(['exit', '0'], { env: { npm_config_registry: 'http://127.0.0.1:9' } });
    expect(second).toMatchObject({ code: 0 });
    expect(second.stderr).toBe(`Node ${process.versions.node} is too old; using Node ${VERSION} from npm\n`);
    expect(fetched).toBe(1);
  });

  /** Puts something else in the place of a path. */
  const instead = (path: string, make: (path: string) => void): void => {
    rmSync(path, { recursive: true });
    make(path);
  };
  it.each<[string, (path: string) => void]>([
    ['is empty, which the system runs as a script', (path) => writeFileSync(path, '')],
    ['has lost its end', (path) => writeFileSync(path, readFileSync(path).subarray(0, 12))],
    ['may not be executed', (path) => chmodSync(path, 0o644)],
    ['is gone', (path) => rmSync(join(path, '..'), { recursive: true })],
    ['is a folder', (path) => instead(path, mkdirSync)],
    ['is a link to itself', (path) => instead(path, (link) => symlinkSync(link, link))],
    ['is a file in place of its folder', (path) => instead(join(path, '../..'), (file) => writeFileSync(file, ''))],
  ])('one in the cache that %s is fetched again', async (_, damage) => {
    const first = await run(['exit', '0']);
    damage(join(factsOf(first.stdout).path, 'node'));
    expect(await run(['exit', '5'])).toMatchObject({ code: 5, stderr: expect.stringContaining('fetched once') });
    expect(await run(['exit', '6'])).toMatchObject({ code: 6, stderr: expect.not.stringContaining('fetched once') });
    expect(readdirSync(place())).toHaveLength(1);
  });

  it('removes what a killed fetch has left', async () => {
    mkdirSync(join(place(), 'node-22.99.1-x.partial-999999999'), { recursive: true });
    mkdirSync(join(place(), `node-22.99.1-x.partial-${process.pid}`));
    expect(await run(['exit', '0'])).toMatchObject({ code: 0 });
    expect(readdirSync(place()).filter((name) => name.includes('partial'))).toEqual([
      `node-22.99.1-x.partial-${process.pid}`,
    ]);
  });

  it('is in the package, with its lock file', () => {
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const [packed] = Object.values(JSON.parse(execFileSync('npm', args, { encoding: 'utf8' }))) as [
      { files: { path: string }[] },
    ];
    const paths = packed.files.map(({ path }) => path);
    for (const path of ['launch.cjs', 'sightline.mjs', 'requirements/node/package-lock.json'])
      expect(paths).toContain(`workers/${path}`);
  });

  it('two that start at once both go on', async () => {
    const both = await Promise.all([run(['exit', '0']), run(['exit', '0'])]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(readdirSync(place())).toHaveLength(1);
  });

  it('runs a line of a script, with its arguments at the end, in the other Node.js', async () => {
    const line = `node -p "require('module').isBuiltin('node:sqlite')" && echo`;
    const { code, stdout } = await run([line, 'a  b', '--c'], { entry: ['workers/launch.cjs'] });
    expect(stdout).toBe('true\na  b --c\n');
    expect(code).toBe(0);
    expect(await run(['exit 9'], { entry: ['workers/launch.cjs'] })).toMatchObject({ code: 9 });
    const current = { entry: ['workers/launch.cjs'], env: { NODE_OPTIONS: '' } };
    expect(await run([line, 'x'], current)).toMatchObject({ code: 0, stdout: 'true\nx\n', stderr: '' });
    expect(await run(['exit 9'], current)).toMatchObject({ code: 9 });
  });

  it('passes standard input on, and ends by the signal that ended the program', async () => {
    const { child, ended } = start(['echo']);
    child.stdin!.end('from the user\n');
    expect((await ended).stdout).toContain('\nfrom the user\n');
    expect(await run(['signal', 'SIGKILL'])).toMatchObject({ code: null, signal: 'SIGKILL' });
    expect(await run(['signal', 'SIGTERM'])).toMatchObject({ code: null, signal: 'SIGTERM' });
  });

  it('passes each signal on once, also one that a terminal and npm both send', async () => {
    const { child, output, ended } = start(['wait'], { detached: true });
    await waitFor('the program', () => output.stdout.includes('child '));
    const { pid } = factsOf(output.stdout);
    const countOf = (signal: string) => output.stdout.split('\n').filter((line) => line === signal).length;
    // A terminal signals the group, npm its child, at one time.
    process.kill(-child.pid!, 'SIGINT');
    process.kill(child.pid!, 'SIGINT');
    await waitFor('SIGINT', () => countOf('SIGINT') > 0);
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) {
      process.kill(child.pid!, signal);
      await waitFor(signal, () => countOf(signal) === 1);
    }
    expect(countOf('SIGINT')).toBe(1);
    process.kill(pid, 'SIGKILL');
    expect(await ended).toMatchObject({ signal: 'SIGKILL' });
  });

  it.each(['wait', 'block'])('ends what it started if it is killed (%s)', async (what) => {
    const { child, output } = start([what]);
    await waitFor('the program', () => /child |blocked/.test(output.stdout));
    const { pid } = factsOf(output.stdout);
    const grandchild = Number(/child (\d+)/.exec(output.stdout)?.[1] ?? pid);
    child.kill('SIGKILL');
    await waitFor('its end', () => !isAlive(pid) && !isAlive(grandchild), { deadlineMs: 2000 });
  });

  it('ends a line of a script, and what that started, if it is killed', async () => {
    const { child, output } = start(['sleep 1000 & echo $!; wait'], { entry: ['workers/launch.cjs'] });
    await waitFor('the line', () => output.stdout.endsWith('\n'));
    const sleeping = Number(output.stdout);
    expect(isAlive(sleeping)).toBe(true);
    child.kill('SIGKILL');
    await waitFor('its end', () => !isAlive(sleeping), { deadlineMs: 2000 });
  });

  describe('says in one error what is needed and two ways to get it, and leaves nothing,', () => {
    const advice = /needs Node 22\.13 or later.*https:\/\/nodejs\.org.*SIGHTLINE_NODE.*\[NODE_UNSUITABLE\]\n$/;

    it.each([
      ['without a network', { npm_config_registry: 'http://127.0.0.1:9' }, /ECONNREFUSED/],
      ['if the cache cannot be written', { SIGHTLINE_CACHE_DIR: '/dev/null/cache' }, /ENOTDIR.*SIGHTLINE_CACHE_DIR/],
      [
        'if SIGHTLINE_NODE names nothing',
        { SIGHTLINE_NODE: '/nowhere/node' },
        /SIGHTLINE_NODE is \/nowhere\/node: ENOENT/,
      ],
      [
        'if SIGHTLINE_NODE is no program',
        { SIGHTLINE_NODE: join(process.cwd(), 'README.md') },
        /README\.md: it does not run as Node does \(EACCES\)/,
      ],
      ['if SIGHTLINE_NODE is too old', { SIGHTLINE_NODE: process.execPath }, /it is Node [\d.]+\. /],
      ['if SIGHTLINE_NODE is another program', { SIGHTLINE_NODE: '/bin/true' }, /it does not run as Node does/],
      ['if SIGHTLINE_NODE is a folder', { SIGHTLINE_NODE: '/' }, /it does not run as Node does \(EACCES\)/],
    ])('%s', async (_, env, reason) => {
      const { code, stdout, stderr } = await run(['exit', '0'], { env });
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(advice);
      expect(stderr).toMatch(reason);
      expect(stderr.match(/error:/g)).toHaveLength(1);
      if (existsSync(place())) expect(readdirSync(place())).toEqual([]);
    });

    it('if what npm serves has another hash', async () => {
      lock(integrityOf(Buffer.from('another')));
      const { code, stderr } = await run(['exit', '0']);
      lock(integrityOf(archive));
      expect(code).toBe(1);
      expect(stderr).toMatch(advice);
      expect(stderr).toMatch(/EINTEGRITY/);
      expect(readdirSync(place())).toEqual([]);
    });

    it('if what npm serves does not run here, as on a system with musl', async () => {
      const whole = archive;
      archive = pack('#!/lib/ld-of-another-libc.so\n');
      lock(integrityOf(archive));
      const { code, stderr } = await run(['exit', '0'], { env: { npm_config_cache: join(home, 'npm') } });
      archive = whole;
      lock(integrityOf(archive));
      expect(code).toBe(1);
      expect(stderr).toMatch(advice);
      expect(stderr).toMatch(/it does not run as Node does \(ENOENT\).*musl.*SIGHTLINE_CACHE_DIR/);
      expect(readdirSync(place())).toEqual([]);
    });
  });

  it('SIGHTLINE_NODE names the one to use, also in a Node.js that would do', async () => {
    const named = join(home, 'named');
    writeFileSync(named, `#!/bin/sh\nunset NODE_OPTIONS\nNAMED=yes exec "${process.execPath}" "$@"\n`);
    chmodSync(named, 0o755);
    for (const NODE_OPTIONS of [OLD, '']) {
      const { code, stderr, stdout } = await run(['exit', '3'], { env: { SIGHTLINE_NODE: named, NODE_OPTIONS } });
      expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
      expect(factsOf(stdout)).toMatchObject({ hasSqlite: true, path: home });
    }
  });

  it('the library refuses with a code and a sentence, before anything opens', () => {
    const script = `import('./dist/src/index.js').then(() => console.log('loaded'), ({ name, code, message, details }) => console.log(JSON.stringify({ name, code, message, details })))`;
    const printed = execFileSync(process.execPath, [OLD, '-e', script], { encoding: 'utf8' });
    expect(JSON.parse(printed)).toEqual({
      name: 'SightlineError',
      code: 'NODE_UNSUITABLE',
      message: `Sightline needs Node 22.13 or later, with node:sqlite; this program runs on Node ${process.versions.node}`,
      details: { node: process.versions.node },
    });
  });

  it('the packed command is the launcher too', async () => {
    cpSync('workers/sightline.mjs', join(root, 'workers/sightline.mjs'));
    mkdirSync(join(root, 'dist/workers'), { recursive: true });
    writeFileSync(
      join(root, 'dist/workers/sightline.process.js'),
      `console.log(process.argv.slice(2).join('|'), process.getBuiltinModule('node:sqlite') !== undefined);`,
    );
    writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
    const { stdout, code } = await run(['detect', 'x y'], { entry: ['workers/sightline.mjs'] });
    expect({ stdout, code }).toEqual({ stdout: 'detect|x y true\n', code: 0 });
  });
});
