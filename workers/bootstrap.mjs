/**
 * Makes a fresh clone ready with nothing but Node and npm: installs what package-lock.json names, if it is not there, and
 * compiles. Called by `npm run demo` and `npm test`, before there is anything to import.
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
// npx runs it as it is, and the compiler makes files that are not executable.
chmodSync('dist/workers/sightline.process.js', 0o755);

/** npm writes what it installed into node_modules; every package that is not optional must be there in its version. */
function isInstalled() {
  if (!existsSync('node_modules/.package-lock.json')) return false;
  const wanted = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
  const present = JSON.parse(readFileSync('node_modules/.package-lock.json', 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional === true || present[path]?.version === version,
  );
}
