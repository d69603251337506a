import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './rtsp-server.ts';

/** Debian has servers where a user's path may not look. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface BrokerPlan {
  /** Also the name of its Debian package. */
  readonly command: string;
  /** Settings, and the arguments that name them. */
  readonly args: (place: { readonly port: number; readonly folder: string }) => readonly string[];
  /** What its log says once it accepts connections. */
  readonly ready: string;
  /** SIGTERM where it writes what it has to the disk only then. */
  readonly killedBy: 'SIGKILL' | 'SIGTERM';
}

/** A broker on a free port of 127.0.0.1, with what it keeps in a folder of its own. It ends with the test process. */
export class BrokerProcess {
  readonly port: number;
  readonly folder: string;
  readonly #plan: BrokerPlan;
  #child: ChildProcess | null = null;

  private constructor(plan: BrokerPlan, port: number) {
    this.#plan = plan;
    this.port = port;
    this.folder = mkdtempSync(join(tmpdir(), `sightline-${plan.command}-`));
  }

  static async open(plan: BrokerPlan): Promise<BrokerProcess> {
    const broker = new BrokerProcess(plan, await freePort());
    await broker.start();
    return broker;
  }

  /** Why it cannot be started; null if it can. */
  static missing({ command }: BrokerPlan): string | null {
    const isThere = spawnSync(command, ['-h'], { env }).error === undefined;
    if (!isThere) console.warn(`SKIPPED: ${command} is not installed (apt-get install ${command})`);
    return isThere ? null : `${command} is not installed`;
  }

  /** Starts or restarts it with what it has kept. Resolves once it accepts connections. */
  async start(): Promise<void> {
    const { command, args, ready } = this.#plan;
    const child = spawn(command, args(this), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    let log = '';
    await new Promise<void>((resolve, reject) => {
      const take = (data: Buffer): void => {
        log += data.toString();
        if (log.includes(ready)) resolve();
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${command} ended with ${code}:\n${log}`)));
    });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(this.#plan.killedBy);
    await gone;
  }

  /** Freezes it: it keeps its connections and answers nothing. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** MQTT 5; the user `reader` may do everything, `guest` may publish nothing, everybody else needs no password. */
export const MOSQUITTO: BrokerPlan = {
  command: 'mosquitto',
  args: ({ port, folder }) => {
    const acl = join(folder, 'acl');
    writeFileSync(acl, 'topic readwrite #\n\nuser guest\ntopic read #\n', { mode: 0o600 });
    const lines = [
      ...[
        `listener ${port} 127.0.0.1`,
        'allow_anonymous true',
        `acl_file ${acl}`,
        'max_queued_messages 0',
        'max_inflight_messages 0',
      ],
      ...['persistence true', `persistence_location ${folder}/`, 'log_dest stderr', 'log_type all', 'user root'],
    ];
    writeFileSync(join(folder, 'mosquitto.conf'), `${lines.join('\n')}\n`);
    return ['-c', join(folder, 'mosquitto.conf')];
  },
  ready: 'running',
  killedBy: 'SIGTERM',
};

/** NATS with JetStream. */
export const NATS: BrokerPlan = {
  command: 'nats-server',
  args: ({ port, folder }) => ['-js', '-sd', folder, '-a', '127.0.0.1', '-p', `${port}`],
  ready: 'Server is ready',
  killedBy: 'SIGKILL',
};
