/**
 * The fleet tests start their own Redis. If none is installed, installs it if this user may; otherwise prints how to, and
 * those tests are skipped. Called by `npm test`.
 */
import { spawnSync } from 'node:child_process';

const has = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

if (!has('redis-server', '--version')) {
  const mayInstall = process.getuid?.() === 0 && has('apt-get', '--version');
  if (mayInstall) {
    console.error('installing redis-server for the tests of the fleet (apt-get) ...');
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const run = (...args) => spawnSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 'ignore', 'ignore'] });
    // The package lists of a fresh container are empty; those of another machine need no refreshing.
    const install = () => run('install', '-y', '--no-install-recommends', 'redis-server').status === 0;
    if (!install()) {
      run('update');
      install();
    }
  }
  if (!has('redis-server', '--version'))
    console.error(
      'note: redis-server is not installed: the fleet tests are skipped. To run them: apt-get install redis-server',
    );
}
