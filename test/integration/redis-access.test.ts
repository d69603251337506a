import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { FleetState } from '../../src/fleet/control/control-plane.ts';
import { openRedisControlPlane } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { RedisStore } from '../../src/fleet/control/redis/redis-store.ts';
import { StoredState } from '../../src/fleet/control/state/stored-state.ts';
import { card, order } from '../conformance/control-plane-rigs.ts';
import { failure, PREFIX, RedisWorkbench } from '../support/redis-clients.ts';
import { type RedisServer, redisMissing } from '../support/redis-server.ts';
import { within } from '../support/wait-for.ts';

const title = redisMissing === null ? 'Redis' : `Redis (SKIPPED: ${redisMissing})`;
const bench = new RedisWorkbench();
afterEach(() => bench.close());

const beat = (state: FleetState) => state.beat({ card: card('a'), held: new Map(), planRevision: 0 });

describe.skipIf(redisMissing !== null)(`${title} that is not suitable`, () => {
  it('is refused if it may evict keys, with the command that fixes it', async () => {
    const server = await bench.server({ settings: ['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru'] });
    const error = await failure(bench.connection(server.url));
    expect(error.code).toBe('CONTROL_UNSUITABLE');
    expect(error.message).toMatch(/expected maxmemory-policy noeviction, received allkeys-lru.*CONFIG SET/);
    await server.admin.config('SET', 'maxmemory-policy', 'noeviction');
    await bench.connection(server.url);
  });

  it('is refused if it rejects the password, which is not shown', async () => {
    const server = await bench.server({ settings: ['--requirepass', 'right'], client: { password: 'right' } });
    const address = `127.0.0.1:${server.port}`;
    for (const url of [`redis://:wrong-one@${address}`, `redis://someone:wrong-one@${address}`, `redis://${address}`]) {
      const error = await failure(bench.connection(url));
      expect(error.code).toBe('CONTROL_UNSUITABLE');
      expect(error.message).toContain(address);
      expect(`${error.message} ${error.stack} ${JSON.stringify(error.toWire())}`).not.toContain('wrong-one');
    }
    await bench.connection(`redis://:right@${address}`);
  });

  it('accepts a password with all special characters, and names missing rights', async () => {
    const server = await bench.server();
    const password = 'a@b/c?d#e:f %';
    await server.admin.call('ACL', 'SETUSER', 'fleet', 'on', `>${password}`, '~{faults}*', '&{faults}*', '+@all');
    const url = (user: string) => `redis://${user}:${encodeURIComponent(password)}@127.0.0.1:${server.port}`;
    const connection = await bench.connection(url('fleet'));
    await beat(new StoredState({ store: new RedisStore(connection, PREFIX), leaseMs: 60_000 }));
    const elsewhere = new StoredState({ store: new RedisStore(connection, '{other}'), leaseMs: 60_000 });
    expect(await failure(beat(elsewhere))).toMatchObject({
      code: 'CONTROL_UNSUITABLE',
      message: expect.stringContaining('NOPERM'),
    });
  });

  it('is not running: the first connection fails with its address', async () => {
    const server = await bench.server();
    await server.kill();
    const error = await failure(bench.connection(`redis://user:pass@127.0.0.1:${server.port}`));
    expect(error.code).toBe('CONTROL_UNREACHABLE');
    expect(error.message).toMatch(new RegExp(`127\\.0\\.0\\.1:${server.port}.*ECONNREFUSED`));
    expect(error.message).not.toContain('pass');
  });

  it('does not answer: the first connection fails in time', async () => {
    const server = await bench.server();
    server.pause();
    expect(await failure(bench.connection(server.url))).toMatchObject({ code: 'CONTROL_UNREACHABLE' });
  });

  it('is full: calls fail as unreachable, and work again when there is room', async () => {
    const server = await bench.server();
    const { state } = await bench.client(server);
    await beat(state);
    await server.admin.config('SET', 'maxmemory', '1');
    expect(await failure(beat(state))).toMatchObject({
      code: 'CONTROL_UNREACHABLE',
      message: expect.stringContaining('OOM'),
    });
    await server.admin.config('SET', 'maxmemory', '0');
    await beat(state);
  });

  it('keeps no append-only file: the operator is notified', async () => {
    const { notices } = await bench.client(await bench.server());
    expect(notices).toEqual([expect.stringContaining('appendonly yes')]);
    expect((await bench.client(await bench.server({ isDurable: true }))).notices).toEqual([]);
  });
});

describe.skipIf(redisMissing !== null)(`a control plane in ${title}`, () => {
  /** Connections other than the test's own. */
  async function clientCount(server: RedisServer): Promise<number> {
    const clients = String(await server.admin.call('CLIENT', 'LIST'));
    return clients.trim().split('\n').length - 1;
  }

  it('closes every connection, and may be closed twice', async () => {
    const server = await bench.server();
    const control = await openRedisControlPlane({ url: server.url });
    control.tasks.work('live-detect', 1, () => Promise.reject(new Error('no task was submitted')));
    await beat(control.state);
    expect(await clientCount(server)).toBeGreaterThanOrEqual(2);
    await control.close();
    await control.close();
    await vi.waitFor(async () => expect(await clientCount(server)).toBe(0), 10_000);
    expect(await failure(beat(control.state))).toMatchObject({ code: 'CONTROL_UNREACHABLE' });
  });

  it('closes in time while Redis hangs', async () => {
    const server = await bench.server();
    const control = await openRedisControlPlane({ url: server.url, commandTimeoutMs: 1000 });
    await beat(control.state);
    server.pause();
    await within('closing', 10_000, control.close());
  });

  it('shares a Redis with another fleet without seeing it', async () => {
    const server = await bench.server();
    const [one, other] = [
      await openRedisControlPlane({ url: server.url, prefix: 'fleet:1' }),
      await openRedisControlPlane({ url: server.url, prefix: 'fleet:2' }),
    ];
    await beat(one.state);
    await one.state.addOrder(order('s'));
    expect(await other.state.snapshot()).toMatchObject({ hosts: [], orders: [] });
    expect((await beat(other.state)).isLeader).toBe(true);
    for (const key of await server.admin.keys('*')) expect(key).toMatch(/^\{fleet:[12]\}:/);
    await one.close();
    await other.close();
  });

  it('refuses a prefix with special characters', async () => {
    await expect(openRedisControlPlane({ url: 'redis://127.0.0.1:1', prefix: 'a*{b}' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});

const tlsMissing = findTlsMissing();
if (redisMissing === null && tlsMissing !== null) console.warn(`SKIPPED: Redis over TLS: ${tlsMissing}`);

function findTlsMissing(): string | null {
  if (redisMissing !== null) return redisMissing;
  if (spawnSync('openssl', ['version']).status !== 0) return 'openssl is not installed';
  const { stdout, stderr } = spawnSync('redis-server', ['--port', '0', '--tls-port', '-1'], {
    encoding: 'utf8',
    timeout: 5000,
  });
  // A build without TLS does not know the setting; one with TLS rejects the number.
  return /Bad directive/.test(`${stdout}${stderr}`) ? 'this redis-server was built without TLS' : null;
}

describe.skipIf(tlsMissing !== null)(`Redis over TLS${tlsMissing === null ? '' : ` (SKIPPED: ${tlsMissing})`}`, () => {
  async function startTls(): Promise<{ caFile: string; url: string }> {
    const server = await bench.server();
    const [key, cert] = [join(server.folder, 'key.pem'), join(server.folder, 'cert.pem')];
    const made = spawnSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert].concat([
        '-subj',
        '/CN=sightline-test',
        '-addext',
        'subjectAltName=IP:127.0.0.1',
      ]),
      { encoding: 'utf8' },
    );
    expect(made.status, made.stderr).toBe(0);
    await server.admin.config('SET', 'tls-cert-file', cert, 'tls-key-file', key, 'tls-auth-clients', 'no');
    await server.admin.config('SET', 'port', 0, 'tls-port', server.port);
    return { caFile: cert, url: `rediss://127.0.0.1:${server.port}` };
  }

  it('connects to a server with the configured CA', async () => {
    const { caFile, url } = await startTls();
    const connection = await bench.connection(url, caFile);
    const reply = await beat(new StoredState({ store: new RedisStore(connection, PREFIX), leaseMs: 60_000 }));
    expect(reply.isLeader).toBe(true);
  });

  it('refuses a server with an unknown CA, and one without TLS', async () => {
    const { url } = await startTls();
    expect(await failure(bench.connection(url))).toMatchObject({
      code: 'CONTROL_UNREACHABLE',
      message: expect.stringMatching(/self[- ]signed/),
    });
    const plain = await bench.server();
    expect(await failure(bench.connection(`rediss://127.0.0.1:${plain.port}`))).toMatchObject({
      code: 'CONTROL_UNREACHABLE',
    });
  });
});
