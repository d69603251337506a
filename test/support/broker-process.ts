import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  /** Also the name of its Debian package, unless `missing` is there. */
  readonly command: string;
  /** Why it cannot be started, and what to do; null if it can. Default: looks for the command. */
  readonly missing?: () => string | null;
  /** Settings, and the arguments that name them. */
  readonly args: (place: {
    readonly port: number;
    readonly folder: string;
  }) => readonly string[] | Promise<readonly string[]>;
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
  static missing({ command, missing }: BrokerPlan): string | null {
    if (missing !== undefined) {
      const why = missing();
      if (why !== null) console.warn(`SKIPPED: ${why}`);
      return why;
    }
    const isThere = spawnSync(command, ['-h'], { env }).error === undefined;
    if (!isThere) console.warn(`SKIPPED: ${command} is not installed (apt-get install ${command})`);
    return isThere ? null : `${command} is not installed`;
  }

  /** Starts or restarts it with what it has kept. Resolves once it accepts connections. */
  async start(): Promise<void> {
    const { command, args, ready } = this.#plan;
    const child = spawn(command, await args(this), { env, stdio: ['ignore', 'pipe', 'pipe'] });
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

/** The jars of Kafka, as `java -cp` takes them: of Maven's `org.apache.kafka:kafka_2.13`, or `libs/*` of its archive. */
const KAFKA_CLASSPATH = process.env.KAFKA_CLASSPATH ?? '';

/**
 * Kafka in KRaft mode, one node. Its listener for clients takes everybody on `port`; the user `someone` with the password `hush-hush` signs in with
 * PLAIN at `signInPort`. It makes no topic by itself.
 */
export const KAFKA: BrokerPlan = {
  command: 'java',
  missing: () =>
    KAFKA_CLASSPATH !== ''
      ? null
      : 'KAFKA_CLASSPATH is not set (mvn dependency:copy-dependencies of org.apache.kafka:kafka_2.13, with slf4j-simple)',
  args: async ({ port, folder }) => {
    const file = join(folder, 'server.properties');
    const java = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', KAFKA_CLASSPATH];
    if (!existsSync(file)) {
      const [controller, signedIn] = [await freePort(), await freePort()];
      const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_someone="hush-hush";';
      const lines = [
        ...['process.roles=broker,controller', 'node.id=1', `controller.quorum.voters=1@127.0.0.1:${controller}`],
        `listeners=OPEN://127.0.0.1:${port},SIGNED://127.0.0.1:${signedIn},CONTROLLER://127.0.0.1:${controller}`,
        ...['controller.listener.names=CONTROLLER', 'inter.broker.listener.name=OPEN'],
        'listener.security.protocol.map=OPEN:PLAINTEXT,CONTROLLER:PLAINTEXT,SIGNED:SASL_PLAINTEXT',
        ...['sasl.enabled.mechanisms=PLAIN', `listener.name.signed.plain.sasl.jaas.config=${login}`],
        ...[`log.dirs=${join(folder, 'log')}`, 'auto.create.topics.enable=false', 'num.partitions=2'],
        ...[
          'offsets.topic.replication.factor=1',
          'offsets.topic.num.partitions=1',
          'group.initial.rebalance.delay.ms=0',
        ],
      ];
      writeFileSync(file, `${lines.join('\n')}\n`);
      const format = ['kafka.tools.StorageTool', 'format', '-t', 'AAAAAAAAAAAAAAAAAAAAAQ', '-c', file];
      const { status, stderr, stdout } = spawnSync('java', [...java, ...format], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`Kafka's storage could not be made:\n${stdout}${stderr}`);
    }
    return [...java, 'kafka.Kafka', file];
  },
  ready: 'Kafka Server started',
  killedBy: 'SIGKILL',
};

/** Where a broker of the plan `KAFKA` wants users to sign in. */
export function signInPort({ folder }: Pick<BrokerProcess, 'folder'>): number {
  return Number(/SIGNED:\/\/127\.0\.0\.1:(\d+)/.exec(readFileSync(join(folder, 'server.properties'), 'utf8'))![1]);
}
