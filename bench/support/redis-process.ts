import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

/** Returns why no Redis can be started on this machine; null if it can. */
export function missingRedis(): string | null {
  const { status } = spawnSync('redis-server', ['--version']);
  return status === 0 ? null : 'redis-server is not installed (apt-get install redis-server)';
}

/** A Redis for one section, on a free port of 127.0.0.1, without persistence. */
export class RedisProcess {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #client: Redis;

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.url = `redis://127.0.0.1:${port}`;
    this.#child = child;
    this.#folder = folder;
    this.#client = new Redis(this.url);
  }

  /** @throws Error if it cannot be started. */
  static async start(): Promise<RedisProcess> {
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), 'sightline-bench-redis-'));
    const settings = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--save',
      '',
      '--appendonly',
      'no',
    ];
    const child = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] });
    process.once('exit', () => child.kill('SIGKILL'));
    let log = '';
    for await (const data of child.stdout) {
      log += String(data);
      if (log.includes('Ready to accept connections')) {
        child.stdout.resume();
        return new RedisProcess(port, child, folder);
      }
    }
    throw new Error(`redis-server exited before it accepted connections: ${log}`);
  }

  /** Memory that Redis uses for data, without the reserve of its allocator. */
  async usedBytes(): Promise<number> {
    const info = await this.#client.info('memory');
    return Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
  }

  async stop(): Promise<void> {
    this.#client.disconnect();
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
