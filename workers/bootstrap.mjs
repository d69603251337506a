/**
 * Prepares a clone with only Node and npm: installs the packages of package-lock.json if they are missing, and compiles. Called before any
 * package can be imported: by `sightline.mjs` with what runs alone, by npm scripts with what develops.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const compiler = join(root, 'node_modules/typescript/bin/tsc');

/** @param purpose - `run` installs no package for development, and compiles by removing the types; `develop` installs all, and checks types. */
export async function prepare(purpose) {
  install(purpose);
  if (purpose === 'run' && !existsSync(compiler)) removeTypes();
  else {
    await import('./settings-types.mjs');
    step('compiling', 'the compiler', process.execPath, [compiler, '-p', 'tsconfig.build.json']);
  }
  writeFileSync(join(root, 'dist/.compiled'), '');
}

function install(purpose) {
  if (isInstalled(purpose)) return;
  const what = purpose === 'run' ? '100 MB, 300 MB on the disk' : '360 MB, 1.1 GB on the disk';
  // A production environment or a user's settings may leave out what compiles.
  const parts = [purpose === 'run' ? '--omit=dev' : '--include=dev', '--include=optional'];
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  step(`installing packages with npm, once: ${what}`, 'npm ci', npm, ['ci', ...parts, '--no-audit', '--no-fund']);
}

/** Writes what the compiler would, but for declarations: the sources have no syntax of TypeScript that does more than state types. */
function removeTypes() {
  const startedMs = performance.now();
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  for (const folder of ['src', 'models', 'workers']) {
    for (const name of readdirSync(join(root, folder), { recursive: true })) {
      if (!name.endsWith('.ts') || name.endsWith('.d.ts')) continue;
      const code = module.stripTypeScriptTypes(readFileSync(join(root, folder, name), 'utf8'));
      const path = join(root, 'dist', folder, name.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, code.replace(/^(.*\bfrom |.*\bimport[ (])'(\.{1,2}\/[^']+)\.ts'/gm, "$1'$2.js'"));
    }
  }
  process.emitWarning = emitWarning;
  console.error(`compiled in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
}

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

/** Returns whether npm's own record in node_modules lists every package that is needed, in its locked version. */
function isInstalled(purpose) {
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional, dev, devOptional }]) =>
      path === '' ||
      optional === true ||
      (purpose === 'run' && (dev === true || devOptional === true)) ||
      present[path]?.version === version,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--packages')) install('develop');
  else {
    if (process.argv.includes('--clean')) rmSync(join(root, 'dist'), { recursive: true, force: true });
    await prepare('develop');
  }
}
