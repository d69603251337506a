import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { freePort } from './rtsp-server.ts';

/** Why no Redis can be started; null if one can. Suites that need it are skipped with this reason. */
export const redisMissing: string | null =
  spawnSync('redis-server', ['--version']).status === 0
    ? null
    : 'redis-server is not installed (apt-get install redis-server)';

if (redisMissing !== null) console.warn(`SKIPPED: ${redisMissing}`);

export interface RedisServerOptions {
  /** Settings as in redis.conf, after those of the tests. */
  readonly settings?: readonly string[];
  /** Keeps every write across a crash. */
  readonly isDurable?: boolean;
  /** Connection options of `client`, if the settings require some. */
  readonly client?: Omit<RedisOptions, 'replyMapping'>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** The Redis of one test file: on a free port of 127.0.0.1, in its own folder; it ends with the test process. */
export class RedisServer {
  readonly port: number;
  readonly folder: string;
  readonly #options: RedisServerOptions;
  #child: ChildProcess | null = null;
  #admin: Redis | null = null;

  private constructor(port: number, options: RedisServerOptions) {
    this.port = port;
    this.#options = options;
    this.folder = mkdtempSync(join(tmpdir(), 'sightline-redis-'));
  }

  static async open(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), options);
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The test's own connection, which bypasses the code under test. */
  get admin(): Redis {
    if (this.#admin === null) {
      this.#admin = new Redis({ port: this.port, host: '127.0.0.1', ...this.#options.client });
      // The tests stop the server; the connection reconnects by itself.
      this.#admin.on('error', () => {});
    }
    return this.#admin;
  }

  /** Starts or restarts with the data on disk. Resolves when it accepts commands. */
  async start(): Promise<void> {
    const { settings = [], isDurable = false } = this.#options;
    const child = spawn(
      'redis-server',
      [
        ...['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, '--save', ''],
        ...['--appendonly', isDurable ? 'yes' : 'no', '--appendfsync', 'always'],
        ...settings,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    let log = '';
    const isReady = new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (data: Buffer) => {
        log += data.toString();
        if (log.includes('Ready to accept connections')) resolve();
      });
      child.stderr.on('data', (data: Buffer) => {
        log += data.toString();
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}:\n${log}`)));
    });
    await isReady;
  }

  /** Kills the server, as in a power cut. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** Freezes the server: it keeps its connections and answers nothing. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    this.#admin?.disconnect();
    this.resume();
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
