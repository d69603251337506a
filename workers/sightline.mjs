#!/usr/bin/env node
/**
 * Starts the command line. In a clone it first installs the packages and compiles if that has not been done, so that
 * `npx sightline` works right after `git clone`; an installed package is compiled already.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import v8 from 'node:v8';
import launch from './launch.cjs';

// Everything else needs a current Node.js.
await launch.useCurrentNode();

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Written by `bootstrap.mjs` when it has compiled; the compiler itself writes only what changed. */
const stamp = join(root, 'dist/.compiled');

// Only a clone has the compiler's settings.
if (existsSync(join(root, 'tsconfig.build.json')) && !isCompiled()) (await import('./bootstrap.mjs')).prepare('run');
// A service keeps V8's young generations at 1 MB: what it allocates dies young, and loading the program would let them grow
// to 48 MB for each thread, which never shrink (ADR 53).
if (['run', 'demo', 'host'].includes(process.argv[2])) v8.setFlagsFromString('--semi-space-growth-factor=1');
// Keeps compiled code for the next start, where Node.js can (22.1 and later).
module.enableCompileCache?.();
await import(new URL('../dist/workers/sightline.process.js', import.meta.url).href);

/** Returns whether the compiled code is newer than every source. */
function isCompiled() {
  if (!existsSync(stamp)) return false;
  const compiledMs = statSync(stamp).mtimeMs;
  const isOlder = (path) => statSync(join(root, path)).mtimeMs <= compiledMs;
  const sources = ['src', 'models', 'workers'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => join(folder, path)),
  );
  return [...sources, 'tsconfig.json', 'tsconfig.build.json'].every(isOlder);
}
