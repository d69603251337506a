/**
 * Prepares a fresh clone with only Node and npm: installs the packages of package-lock.json if they are missing, and compiles.
 * Called by `sightline.mjs` and `npm test`, before any package can be imported.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 13))
  console.error(`note: Node ${process.version}; supported are 22.13 and later`);

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
if (!isInstalled()) {
  // A production environment or a user's settings may leave out what compiles.
  const include = ['--include=dev', '--include=optional'];
  step('installing packages with npm, once: 360 MB, 1.1 GB on the disk', 'npm ci', npm, [
    'ci',
    ...include,
    '--no-audit',
    '--no-fund',
  ]);
}
await import('./settings-types.mjs');
step('compiling', 'the compiler', process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
writeFileSync(join(root, 'dist/.compiled'), '');

/** Runs a program that says itself what is wrong. The standard output belongs to the command that is started next. */
function step(what, name, program, args) {
  console.error(`${what} ...`);
  const startedMs = performance.now();
  const options = { cwd: root, stdio: ['ignore', 2, 'inherit'], shell: program === 'npm.cmd' };
  const { status, signal, error } = spawnSync(program, args, options);
  if (status !== 0) {
    console.error(
      `error: ${name} failed (${error?.message ?? signal ?? `exit code ${status}`}); the lines above say why`,
    );
    process.exit(1);
  }
  console.error(`done in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
}

/** Returns whether npm's own record in node_modules lists every non-optional package in its locked version. */
function isInstalled() {
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional === true || present[path]?.version === version,
  );
}
