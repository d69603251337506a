import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { gatewayConfig } from '../../src/config/gateway.ts';
import { copiesOf, isSent, readDockerfile } from './read-dockerfile.ts';
import { importsOf } from './source-files.ts';

const stages = readDockerfile('Dockerfile.gpu');
const image = stages.at(-1)!;
const engine = stages.find(({ name }) => name === 'engine')!;
const ignoreFile = readFileSync('.dockerignore', 'utf8');
const copied = stages.flatMap((stage) => copiesOf(stage).flatMap((copy) => (copy.stage === null ? copy.sources : [])));

function textsOf(stage: (typeof stages)[number], keyword: string): string[] {
  return stage.instructions.filter((instruction) => instruction.keyword === keyword).map(({ text }) => text);
}

describe('the build context of Dockerfile.gpu', () => {
  it('contains every file that is copied', () => {
    expect(copied.length).toBeGreaterThan(5);
    expect(copied.filter((path) => !existsSync(path) || !isSent(path, ignoreFile))).toEqual([]);
  });

  it('contains nothing else', () => {
    const allowed = ignoreFile.split('\n').flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
    expect(allowed.filter((path) => !copied.includes(path))).toEqual([]);
  });

  it.each([
    'node_modules/sharp/package.json',
    '.git/config',
    '.env',
    '.cache/weights',
    'bench/results/latest.md',
    'dist/src/index.js',
    'recordings/door.mp4',
    'test/support/clip.mp4',
  ])('excludes %s', (path) => {
    expect(isSent(path, ignoreFile)).toBe(false);
  });

  it('stages are defined before they are copied from', () => {
    const names = stages.map(({ name }) => name);
    const early = stages.flatMap((stage, i) =>
      copiesOf(stage).filter((copy) => copy.stage !== null && !names.slice(0, i).includes(copy.stage)),
    );
    expect(early).toEqual([]);
  });

  it('the engine stage keeps the paths of the sources, because their imports are relative', () => {
    const copies = copiesOf(engine).filter(({ stage }) => stage === null);
    const moved = copies.flatMap(({ sources, target }) =>
      sources.filter((source) => target !== source && target !== `${dirname(source)}/`),
    );
    expect(moved).toEqual([]);
  });

  it('the engine stage has every file that the set-up imports', () => {
    const sources = copiesOf(engine).flatMap((copy) => copy.sources);
    const needed = new Set(['workers/setup-tensorflow.process.ts']);
    for (const path of needed) {
      const imported = importsOf({ path, text: readFileSync(path, 'utf8'), lineCount: 0 });
      for (const file of imported.files) needed.add(file);
    }
    expect(needed.size).toBeGreaterThan(5);
    const has = (path: string): boolean => sources.some((source) => path === source || path.startsWith(`${source}/`));
    expect([...needed].filter((path) => !has(path))).toEqual([]);
  });
});

describe('versions', () => {
  const bases = stages.map(({ from }) => from).filter((from) => !stages.some(({ name }) => name === from));
  const node = /node:(\d+)\.(\d+)\.\d+-/
    .exec(bases.find((base) => base.includes('/node:'))!)!
    .slice(1)
    .map(Number);

  it('every base image has an exact version and a digest', () => {
    expect(bases.length).toBe(3);
    expect(bases.filter((base) => !/:\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}$/.test(base))).toEqual([]);
  });

  it('the Node version is allowed by package.json, and runs TypeScript directly', () => {
    const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
    const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(engines.node)!.map(Number);
    expect(node[0]! * 100 + node[1]!).toBeGreaterThanOrEqual(major! * 100 + minor!);
    expect(node[0]! * 100 + node[1]!).toBeGreaterThanOrEqual(2218);
  });

  it('the base image has the CUDA version of the wheels', () => {
    const wheels = readFileSync('workers/requirements/tensorflow-gpu.txt', 'utf8');
    const cuda = /^nvidia-cuda-runtime-cu12==(\d+\.\d+)\./m.exec(wheels)![1];
    expect(image.from).toContain(`/cuda:${cuda}.`);
  });

  it('npm installs from package-lock.json', () => {
    const installs = stages
      .flatMap((stage) => textsOf(stage, 'RUN'))
      .filter((text) => /\bnpm (ci|i|install)\b/.test(text));
    expect(installs.length).toBeGreaterThan(0);
    expect(installs.filter((text) => !/\bnpm ci\b/.test(text))).toEqual([]);
  });
});

describe('the image', () => {
  it('runs as an unprivileged user, given by number', () => {
    const [user, ...others] = textsOf(image, 'USER');
    expect(user).toMatch(/^[1-9]\d{3,}:[1-9]\d{3,}$/);
    expect(others).toEqual([]);
  });

  it('checks its health on the port that it listens on', () => {
    const port = gatewayConfig.parse({}).port;
    expect(textsOf(image, 'EXPOSE')).toEqual([`${port}`]);
    expect(textsOf(image, 'HEALTHCHECK')[0]).toContain(`http://127.0.0.1:${port}/healthz`);
  });

  it('is stopped by a signal that Sightline handles, through an init process that reaps children', () => {
    expect(textsOf(image, 'STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(JSON.parse(textsOf(image, 'ENTRYPOINT')[0]!)).toEqual(['/usr/bin/tini', '--', 'sightline']);
    expect(readFileSync('workers/sightline.process.ts', 'utf8')).toContain("'SIGTERM'");
  });

  it('starts a shipped pipeline', () => {
    const [command, path] = JSON.parse(textsOf(image, 'CMD')[0]!) as string[];
    expect(command).toBe('run');
    expect(statSync(path!.replace('/opt/sightline/', '')).isFile()).toBe(true);
  });

  it('has no compiler, no Python and no package lists', () => {
    const [install] = textsOf(image, 'RUN').filter((text) => text.includes('apt-get install'));
    expect(install).not.toMatch(/\b(g\+\+|gcc|python3|npm|nodejs|build-essential)\b/);
    const runs = stages.flatMap((stage) => textsOf(stage, 'RUN')).filter((text) => text.includes('apt-get'));
    expect(
      runs.filter((text) => !text.includes('--no-install-recommends') || !text.includes('rm -rf /var/lib/apt/lists/*')),
    ).toEqual([]);
  });

  it('contains no secret', () => {
    const settings = stages.flatMap((stage) => [...textsOf(stage, 'ENV'), ...textsOf(stage, 'ARG')]);
    expect(settings.filter((text) => /token|password|secret|credential/i.test(text))).toEqual([]);
    expect(readFileSync('.npmrc', 'utf8')).not.toMatch(/_auth|_password|token/i);
  });
});

describe('commands', () => {
  const hasBash = spawnSync('bash', ['-c', 'true']).status === 0;
  if (!hasBash) console.warn('skipped: no bash on this machine, so the commands of Dockerfile.gpu are not parsed');

  it.skipIf(!hasBash).each(stages.flatMap((stage) => textsOf(stage, 'RUN')))('parses: %s', (command) => {
    const { status, stderr } = spawnSync('bash', ['-n', '-c', command], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});
