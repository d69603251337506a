import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeOf, importsOf, readFiles, type SourceFile } from './source-files.ts';

/** Layers of the folders in `src/`. Imports go to a lower layer, or to the same one except among stages and within `network`. */
const LAYERS: Readonly<Record<string, number>> = {
  core: 0,
  errors: 0,
  geometry: 0,
  config: 1,
  protocol: 1,
  flow: 1,
  process: 1,
  disk: 1,
  telemetry: 1,
  statistics: 1,
  client: 1,
  store: 1.5,
  compile: 1.5,
  evaluate: 1.5,
  source: 2,
  decode: 2,
  preprocess: 2,
  batch: 2,
  infer: 2,
  postprocess: 2,
  track: 2,
  sinks: 3,
  pipeline: 3,
  runtime: 3,
  control: 3,
  events: 3,
  history: 3,
  recording: 3,
  gateway: 3,
  measure: 3,
  optimize: 3,
  loadtest: 3,
  host: 4,
  cli: 5,
};
const NETWORK = 1.5;
const STAGES = 2;
/** Layers outside of `src/` and of its top-level files. */
const MODELS = 3.5;
const PUBLIC = 6;
const WORKERS = 7;

const files = readFiles(['src', 'models', 'workers'], ['.ts']);
const byPath = new Map(files.map((file) => [file.path, file]));

function folderOf(path: string): string {
  const [top, building, room] = path.split('/') as [string, string, string];
  if (top !== 'src') return top;
  if (building.endsWith('.ts')) return 'index';
  return building === 'cli' ? building : room;
}

function layerOf(path: string): number {
  const folder = folderOf(path);
  if (folder === 'models') return MODELS;
  if (folder === 'workers') return WORKERS;
  return folder === 'index' ? PUBLIC : (LAYERS[folder] ?? Number.NaN);
}

/** `a -> b` for every import that a rule forbids. */
function violations(isForbidden: (from: string, to: string) => boolean): string[] {
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
  it('every folder of src is assigned to a layer', () => {
    expect(files.filter(({ path }) => Number.isNaN(layerOf(path))).map(({ path }) => path)).toEqual([]);
  });

  it('every import names a file that exists', () => {
    expect(violations((_, to) => !byPath.has(to) && !to.endsWith('.json'))).toEqual([]);
  });

  it('imports go down only', () => {
    expect(violations((from, to) => layerOf(to) > layerOf(from))).toEqual([]);
  });

  it.each([
    ['stages', STAGES],
    ['rooms of network', NETWORK],
  ])('%s never import each other', (_, layer) => {
    expect(
      violations((from, to) => layerOf(from) === layer && layerOf(to) === layer && folderOf(from) !== folderOf(to)),
    ).toEqual([]);
  });

  it('the lowest layer uses no packages', () => {
    const users = files.filter((file) => layerOf(file.path) === 0 && importsOf(file).packages.length > 0);
    expect(users.map(({ path }) => path)).toEqual([]);
  });

  it('files have no import cycles', () => {
    expect(cycles(targetsOf(({ path }) => path))).toEqual([]);
  });

  it('folders have no import cycles', () => {
    expect(cycles(targetsOf(({ path }) => folderOf(path)))).toEqual([]);
  });

  it('groups of files in the runtime have no import cycles', () => {
    const group = ({ path }: { path: string }): string =>
      path.startsWith('src/frame/runtime/') ? dirname(path) : path;
    expect(cycles(targetsOf(group))).toEqual([]);
  });
});

/** The buildings of src, each of which uses only those above it in this table, and their rooms. What a network is needs no wire. */
const BUILDINGS: Readonly<Record<string, readonly string[]>> = {
  base: ['core', 'errors', 'geometry', 'flow', 'disk', 'process', 'statistics'],
  settings: ['config'],
  wire: ['protocol', 'client'],
  network: ['store', 'compile', 'evaluate'],
  frame: ['source', 'decode', 'preprocess', 'batch', 'infer', 'postprocess', 'track', 'runtime', 'telemetry'],
  after: ['events', 'history', 'recording', 'sinks'],
  fleet: ['control'],
  serve: ['pipeline', 'host', 'gateway'],
  lab: ['measure', 'optimize', 'loadtest'],
  cli: ['cli'],
};

describe('buildings', () => {
  const buildingOf = (path: string): string => path.split('/')[1]!;
  const place = (path: string): number =>
    path.startsWith('src/') ? Object.keys(BUILDINGS).indexOf(buildingOf(path)) : -1;

  it('hold the rooms of this table', () => {
    const found = new Map<string, Set<string>>();
    for (const { path } of files.filter((file) => place(file.path) >= 0)) {
      const rooms = found.get(buildingOf(path)) ?? new Set();
      found.set(buildingOf(path), rooms.add(folderOf(path)));
    }
    const sorted = (rooms: Iterable<string>): string[] => [...rooms].sort();
    expect(Object.fromEntries([...found].map(([name, rooms]) => [name, sorted(rooms)]))).toEqual(
      Object.fromEntries(Object.entries(BUILDINGS).map(([name, rooms]) => [name, sorted(rooms)])),
    );
  });

  it('each have a page for newcomers', () => {
    const pages = Object.keys(BUILDINGS).map((name) => `src/${name}/README.md`);
    expect(pages.filter((page) => !existsSync(page))).toEqual([]);
  });

  it('use only those before them', () => {
    const isWire = (from: string, to: string): boolean => buildingOf(from) === 'network' && buildingOf(to) === 'wire';
    expect(violations((from, to) => place(from) >= 0 && (place(to) > place(from) || isWire(from, to)))).toEqual([]);
  });
});

describe('the client', () => {
  /** What a browser loads: type imports are gone then. */
  function loadedFrom(path: string, into = new Map<string, SourceFile>()): Map<string, SourceFile> {
    if (into.has(path)) return into;
    const { text } = byPath.get(path)!;
    const code = { path, text: text.replace(/^(?:import|export) type [^;]*;$/gm, '') };
    into.set(path, code);
    for (const target of importsOf(code).files) loadedFrom(target, into);
    return into;
  }
  const loaded = loadedFrom('src/wire/client/index.ts');

  it('loads itself, errors, and what protocol says about results', () => {
    const others = [...loaded.keys()].filter((path) => folderOf(path) !== 'client').sort();
    expect(others).toEqual([
      'src/base/core/hidden-values.ts',
      'src/base/errors/error-codes.ts',
      'src/base/errors/sightline-error.ts',
      'src/wire/protocol/result-record.ts',
      'src/wire/protocol/skeleton.ts',
    ]);
  });

  it('needs MessagePack and nothing of Node.js', () => {
    expect([...loaded.values()].flatMap((file) => importsOf(file).packages)).toEqual(['@msgpack/msgpack']);
    const ofNode = /\bfrom 'node:|\b(?:Buffer|process|NodeJS|require)\b[.(]/;
    expect([...loaded.values()].filter((file) => ofNode.test(codeOf(file))).map(({ path }) => path)).toEqual([]);
  });

  it('has types of core, errors and protocol only', () => {
    const own = files.filter(({ path }) => folderOf(path) === 'client');
    const used = new Set(own.flatMap((file) => importsOf(file).files.map(folderOf)));
    expect([...used].sort()).toEqual(['client', 'core', 'errors', 'protocol']);
  });
});

describe('packages that are confined to one place', () => {
  it('only control imports the queue and its database, and one sink the database', () => {
    const elsewhere = (name: string): string[] => importersOf(name).filter((path) => folderOf(path) !== 'control');
    expect(elsewhere('bullmq')).toEqual([]);
    expect(elsewhere('ioredis')).toEqual(['src/after/sinks/redis-streams-sink.ts']);
  });

  it('clients of brokers, and the writer of Parquet, are loaded by a sink that is configured, not with the program', () => {
    const names = ['mqtt', '@nats-io/.+', '@platformatic/kafka', 'nodemailer', 'hyparquet-writer'];
    const eager = new RegExp(`^import (?!type )[^;]*from '(?:${names.join('|')})'`, 'm');
    expect(files.filter((file) => eager.test(file.text)).map(({ path }) => path)).toEqual([]);
  });

  it('one file knows how the queue stores its tasks in Redis', () => {
    const names =
      /:lock\b|\bprioritized\b|\bstc\b|4294967296|2 \*\* 32|\b(?:LLEN|LPOS|LINDEX|ZCARD|ZRANGEBYSCORE)\b|:bull:/;
    const control = readFiles(['src/fleet/control'], ['.ts']).filter(({ text }) => names.test(text));
    expect(control.map(({ path }) => path)).toEqual(['src/fleet/control/redis/bull-layout.ts']);
  });

  it('one file imports fluent-ffmpeg', () => {
    expect(importersOf('fluent-ffmpeg')).toEqual(['src/frame/decode/ffmpeg-arguments.ts']);
  });

  it.each([
    ['sharp', ['preprocess', 'sinks', 'recording', 'host', 'cli']],
    ['onnxruntime-node', ['process', 'infer', 'compile']],
    ['fastify', ['gateway']],
    ['@fastify/cookie', ['gateway']],
    ['@fastify/static', ['gateway']],
    ['@fastify/swagger', ['gateway']],
    ['@fastify/websocket', ['gateway']],
    ['ws', ['gateway']],
    ['tar', ['store']],
    ['commander', ['cli']],
    ['mqtt', ['sinks']],
    ['@nats-io/transport-node', ['sinks']],
    ['@nats-io/jetstream', ['sinks']],
    ['@platformatic/kafka', ['sinks']],
    ['nodemailer', ['sinks']],
    ['hyparquet-writer', ['sinks']],
    ['@opentelemetry/sdk-trace-base', ['telemetry']],
    ['@opentelemetry/exporter-trace-otlp-http', ['telemetry']],
    ['protobufjs', ['compile']],
  ])('%s is imported only in %j', (name, folders) => {
    expect(importersOf(name).filter((path) => !folders.includes(folderOf(path)))).toEqual([]);
  });
});

/** Imports between files, or between the nodes that `nodeOf` maps them to. */
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

/** Each cycle once, as a list of its nodes. */
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
