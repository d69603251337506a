/**
 * Prepares a fresh clone with only Node and npm: installs the packages of package-lock.json if they are missing, and compiles.
 * Called by `npm run demo` and `npm test`, before any package can be imported.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync } from 'node:fs';

const major = Number(process.versions.node.split('.')[0]);
if (![20, 22, 24, 26].includes(major)) console.error(`note: Node ${process.version}; tested with 20, 22, 24 and 26`);

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
if (!isInstalled()) {
  console.error('installing packages (npm ci) ...');
  execFileSync(npm, ['ci', '--no-audit', '--no-fund'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
}
console.error('compiling ...');
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
// npx executes the file directly, and the compiler's output is not executable.
chmodSync('dist/workers/sightline.process.js', 0o755);

/** Returns whether npm's own record in node_modules lists every non-optional package in its locked version. */
function isInstalled() {
  if (!existsSync('node_modules/.package-lock.json')) return false;
  const wanted = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
  const present = JSON.parse(readFileSync('node_modules/.package-lock.json', 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional === true || present[path]?.version === version,
  );
}
