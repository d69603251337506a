/**
 * Prepares a fresh clone with only Node and npm: installs the packages of package-lock.json if they are missing, and compiles.
 * Called by `sightline.mjs` and `npm test`, before any package can be imported.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
if (Number(process.versions.node.split('.')[0]) < 22)
  console.error(`note: Node ${process.version}; supported are 22 and later`);

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
if (!isInstalled()) {
  console.error('installing packages (npm ci) ...');
  execFileSync(npm, ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
}
console.error('compiling ...');
// The standard output belongs to the command that is started next.
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: ['ignore', 2, 'inherit'],
});
writeFileSync(join(root, 'dist/.compiled'), '');

/** Returns whether npm's own record in node_modules lists every non-optional package in its locked version. */
function isInstalled() {
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional === true || present[path]?.version === version,
  );
}
