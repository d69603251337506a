/**
 * Writes the types of settings and of records that programs see: an editor shows the comments of an interface, but none of a type that TypeScript
 * derives from a schema. They are made before anything is compiled or checked, if a schema is newer than they are.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, 'src/settings/config/keys');
/** The types of records that hosts send. */
const wireFile = join(root, 'src/wire/protocol/keys/reports.ts');
/** Where schemas are, and what writes the types. */
const SOURCES = [
  'src/settings/config',
  'src/base/core',
  'src/base/geometry',
  'src/serve/pipeline',
  'src/wire/protocol',
  'src/after/sinks',
  'workers',
];

if (!isNewest()) await write();

function isNewest() {
  // The last one that is written.
  const written = statSync(wireFile, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const changedMs = (path) => statSync(path).mtimeMs;
  return SOURCES.flatMap((path) => filesOf(join(root, path)))
    .filter((path) => dirname(path) !== folder && path !== wireFile)
    .every((path) => changedMs(path) <= written);
}

function filesOf(path) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true }).flatMap((name) => (name.endsWith('.ts') ? [join(path, name)] : []));
}

/** The schemas are compiled for this without a look at their types, which need the files that are written. */
async function write() {
  const out = join(root, '.cache', `schemas-${process.pid}`);
  try {
    const flags = ['--noCheck', '--incremental', 'false', '--declaration', 'false', '--outDir', out];
    const compiler = [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json'), ...flags];
    const { status } = spawnSync(process.execPath, compiler, { stdio: ['ignore', 2, 'inherit'] });
    if (status !== 0) throw new Error(`the schemas of settings do not compile: exit code ${status}`);
    const load = (path) => import(pathToFileURL(join(out, path)).href);
    const { settingsSource } = await load('workers/settings-source.js');
    const { jsonSchemaOf } = await load('src/settings/config/schema-text.js');
    const { pipelineConfig } = await load('src/serve/pipeline/pipeline.js');
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(settingsSource(jsonSchemaOf(pipelineConfig))))
      writeFileSync(join(folder, name), text);
    const { wireSource } = await load('workers/wire-source.js');
    mkdirSync(dirname(wireFile), { recursive: true });
    writeFileSync(
      wireFile,
      wireSource(
        filesOf(join(root, 'src/wire/protocol'))
          .map((path) => readFileSync(path, 'utf8'))
          .join(''),
      ),
    );
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
