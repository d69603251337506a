/**
 * Tests of the fleet and of sinks start their own servers. Those that are not installed are installed if this user may; otherwise this
 * prints how to, and those tests are skipped. Called by `npm test`.
 */
import { spawnSync } from 'node:child_process';

/** Debian packages, by a command that each has. */
const SERVERS = { 'redis-server': 'the fleet and Redis', mosquitto: 'MQTT', 'nats-server': 'NATS' };
const PATH = `${process.env.PATH}:/usr/sbin`;

const has = (command, ...args) =>
  spawnSync(command, args, { stdio: 'ignore', env: { ...process.env, PATH } }).error === undefined;
const missing = () => Object.keys(SERVERS).filter((name) => !has(name, '-h'));

if (missing().length > 0 && process.getuid?.() === 0 && has('apt-get', '--version')) {
  console.error(`installing ${missing().join(', ')} for the tests (apt-get) ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const run = (...args) => spawnSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 'ignore', 'ignore'] });
  // The package lists of a fresh container are empty; those of another machine need no refreshing.
  const install = () => run('install', '-y', '--no-install-recommends', ...missing()).status === 0;
  if (!install()) {
    run('update');
    install();
  }
}
for (const name of missing())
  console.error(
    `note: ${name} is not installed: tests of ${SERVERS[name]} are skipped. To run them: apt-get install ${name}`,
  );
