import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importsOf, readFiles } from './source-files.ts';

/** Floors of the rooms in `src/`. Imports go down, or stay on the floor where it is not the one of the stages. */
const FLOORS: Readonly<Record<string, number>> = {
  core: 0,
  errors: 0,
  geometry: 0,
  config: 1,
  protocol: 1,
  flow: 1,
  telemetry: 1,
  source: 2,
  decode: 2,
  preprocess: 2,
  batch: 2,
  infer: 2,
  postprocess: 2,
  track: 2,
  sinks: 2,
  store: 2,
  compile: 2,
  evaluate: 2,
  runtime: 3,
  control: 3,
  gateway: 3,
  measure: 3,
  host: 4,
  cli: 5,
};
const STAGES = 2;
/** What stands above and between the rooms. */
const MODELS = 3.5;
const PUBLIC = 6;
const WORKERS = 7;

const files = readFiles(['src', 'models', 'workers'], ['.ts']);
const byPath = new Map(files.map((file) => [file.path, file]));

function roomOf(path: string): string {
  const [top, room] = path.split('/') as [string, string];
  return top === 'src' ? (room.endsWith('.ts') ? 'index' : room) : top;
}

function floorOf(path: string): number {
  const room = roomOf(path);
  if (room === 'models') return MODELS;
  if (room === 'workers') return WORKERS;
  return room === 'index' ? PUBLIC : (FLOORS[room] ?? Number.NaN);
}

/** `a -> b` for every import that a rule forbids. */
function offences(isForbidden: (from: string, to: string) => boolean): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .files.filter((target) => isForbidden(file.path, target))
      .map((target) => `${file.path} -> ${target}`),
  );
}

function importersOf(name: string): string[] {
  return files.filter((file) => importsOf(file).packages.includes(name)).map(({ path }) => path);
}

describe('layers', () => {
  it('every folder of src is a room with a floor', () => {
    expect(files.filter(({ path }) => Number.isNaN(floorOf(path))).map(({ path }) => path)).toEqual([]);
  });

  it('every import names a file that exists', () => {
    expect(offences((_, to) => !byPath.has(to) && !to.endsWith('.json'))).toEqual([]);
  });

  it('imports go down only', () => {
    expect(offences((from, to) => floorOf(to) > floorOf(from))).toEqual([]);
  });

  it('stages never import each other', () => {
    expect(
      offences((from, to) => floorOf(from) === STAGES && floorOf(to) === STAGES && roomOf(from) !== roomOf(to)),
    ).toEqual([]);
  });

  it('the ground floor uses no packages', () => {
    const users = files.filter((file) => floorOf(file.path) === 0 && importsOf(file).packages.length > 0);
    expect(users.map(({ path }) => path)).toEqual([]);
  });

  it('no file imports itself through others', () => {
    expect(cycles(targetsOf(({ path }) => path))).toEqual([]);
  });

  it('no room imports itself through others', () => {
    expect(cycles(targetsOf(({ path }) => roomOf(path)))).toEqual([]);
  });

  it('no group of files in the runtime imports itself through others', () => {
    const group = ({ path }: { path: string }): string => (path.startsWith('src/runtime/') ? dirname(path) : path);
    expect(cycles(targetsOf(group))).toEqual([]);
  });
});

describe('packages that one place answers for', () => {
  it('only control knows the queue and its database', () => {
    for (const name of ['bullmq', 'ioredis'])
      expect(importersOf(name).filter((path) => roomOf(path) !== 'control')).toEqual([]);
  });

  it('one file knows fluent-ffmpeg', () => {
    expect(importersOf('fluent-ffmpeg')).toEqual(['src/decode/ffmpeg-command.ts']);
  });

  it.each([
    ['sharp', ['preprocess', 'sinks', 'cli']],
    ['onnxruntime-node', ['infer', 'compile', 'cli']],
    ['fastify', ['gateway']],
    ['ws', ['gateway']],
    ['commander', ['cli']],
    ['prom-client', ['gateway']],
    ['protobufjs', ['compile']],
  ])('%s stays in %j', (name, rooms) => {
    expect(importersOf(name).filter((path) => !rooms.includes(roomOf(path)))).toEqual([]);
  });
});

/** Imports between files, or between whatever `nodeOf` makes of them. */
function targetsOf(nodeOf: (file: { readonly path: string }) => string): ReadonlyMap<string, ReadonlySet<string>> {
  const targets = new Map<string, Set<string>>();
  for (const file of files) {
    const node = nodeOf(file);
    const known = targets.get(node) ?? new Set();
    targets.set(node, known);
    for (const path of importsOf(file).files) {
      if (byPath.has(path) && (path === file.path || nodeOf({ path }) !== node)) known.add(nodeOf({ path }));
    }
  }
  return targets;
}

/** Every cycle once, as the nodes on it. */
function cycles(targets: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const state = new Map<string, 'open' | 'done'>();
  const found: string[] = [];
  const visit = (node: string, trail: readonly string[]): void => {
    if (state.get(node) === 'done') return;
    if (state.get(node) === 'open') {
      found.push([...trail.slice(trail.indexOf(node)), node].join(' -> '));
      return;
    }
    state.set(node, 'open');
    for (const target of targets.get(node) ?? []) visit(target, [...trail, node]);
    state.set(node, 'done');
  };
  for (const node of targets.keys()) visit(node, []);
  return found;
}
