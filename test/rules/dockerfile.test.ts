import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { gatewayConfig } from '../../src/settings/config/gateway.ts';
import { copiesOf, isSent, readDockerfile, type Stage } from './read-dockerfile.ts';

const FILES = ['Dockerfile', 'Dockerfile.gpu'];
const ignoreFile = readFileSync('.dockerignore', 'utf8');

/** What the stages of a file copy from the build context. */
function copiedBy(file: string): string[] {
  return readDockerfile(file).flatMap((stage) =>
    copiesOf(stage).flatMap((copy) => (copy.stage === null ? copy.sources : [])),
  );
}

function textsOf(stage: Stage, keyword: string): string[] {
  return stage.instructions.filter((instruction) => instruction.keyword === keyword).map(({ text }) => text);
}

describe('the build context', () => {
  it.each(FILES)('contains every file that %s copies', (file) => {
    const copied = copiedBy(file);
    expect(copied.length).toBeGreaterThan(5);
    expect(copied.filter((path) => !existsSync(path) || !isSent(path, ignoreFile))).toEqual([]);
  });

  it('contains nothing else', () => {
    const copied = FILES.flatMap(copiedBy);
    const allowed = ignoreFile.split('\n').flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
    expect(allowed.filter((path) => !copied.includes(path))).toEqual([]);
  });

  it.each(FILES)('%s copies folders of the sources, not files: a list of files breaks when one is moved', (file) => {
    expect(copiedBy(file).filter((path) => /^(?:src|models)\//.test(path))).toEqual([]);
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

  it.each(FILES)('the stages of %s are defined before they are copied from', (file) => {
    const stages = readDockerfile(file);
    const names = stages.map(({ name }) => name);
    const early = stages.flatMap((stage, i) =>
      copiesOf(stage).filter((copy) => copy.stage !== null && !names.slice(0, i).includes(copy.stage)),
    );
    expect(early).toEqual([]);
  });
});

describe.each(FILES)('versions in %s', (file) => {
  const stages = readDockerfile(file);
  const bases = stages.map(({ from }) => from).filter((from) => !stages.some(({ name }) => name === from));
  const node = /node:(\d+)\.(\d+)\.\d+-/
    .exec(bases.find((base) => base.includes('/node:'))!)!
    .slice(1)
    .map(Number);

  it('every base image has an exact version and a digest', () => {
    expect(bases.length).toBeGreaterThan(2);
    expect(bases.filter((base) => !/:[\w.-]*(?:\d+\.\d+\.\d+|\d{8})[\w.-]*@sha256:[0-9a-f]{64}$/.test(base))).toEqual(
      [],
    );
  });

  it('the Node version is allowed by package.json', () => {
    const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
    const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(engines.node)!.map(Number);
    expect(node[0]! * 100 + node[1]!).toBeGreaterThanOrEqual(major! * 100 + minor!);
  });

  it('npm installs from package-lock.json', () => {
    const installs = stages
      .flatMap((stage) => textsOf(stage, 'RUN'))
      .filter((text) => /\bnpm (ci|i|install)\b/.test(text));
    expect(installs.length).toBeGreaterThan(0);
    expect(installs.filter((text) => !/\bnpm ci\b/.test(text))).toEqual([]);
  });
});

it('the base image of Dockerfile.gpu has the CUDA version of the wheels', () => {
  const wheels = readFileSync('workers/requirements/tensorflow-gpu.txt', 'utf8');
  const cuda = /^nvidia-cuda-runtime-cu12==(\d+\.\d+)\./m.exec(wheels)![1];
  expect(readDockerfile('Dockerfile.gpu').at(-1)!.from).toContain(`/cuda:${cuda}.`);
});

it('the images have the same Node', () => {
  const [node, other] = FILES.map((file) => /^ARG NODE_IMAGE=.*$/m.exec(readFileSync(file, 'utf8'))![0]);
  expect(node).toBe(other);
});

describe.each(FILES)('the image of %s', (file) => {
  const stages = readDockerfile(file);
  const image = stages.at(-1)!;

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
  if (!hasBash) console.warn('skipped: no bash on this machine, so the commands of the Dockerfiles are not parsed');

  it.skipIf(!hasBash).each(FILES.flatMap((file) => readDockerfile(file).flatMap((stage) => textsOf(stage, 'RUN'))))(
    'parses: %s',
    (command) => {
      const { status, stderr } = spawnSync('bash', ['-n', '-c', command], { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(status).toBe(0);
    },
  );
});
