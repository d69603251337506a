import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { packageRoot } from '../../src/network/store/package-root.ts';
import type { RolloutReport } from '../../src/wire/protocol/rollout-records.ts';
import { RedisProcess } from './redis-process.ts';

/** The built command line. */
export const SIGHTLINE_ENTRY = join(packageRoot(), 'dist/workers/sightline.process.js');
const POLL_MS = 100;
const START_MS = 120_000;
const HOSTS = ['one', 'two'];

/** How a roll-out continued after its controller was killed. */
export interface TakeOver {
  readonly killed: string;
  readonly wentOnAt: string;
  readonly seconds: number;
}

/** A pipeline in processes of its own, as users start it, with roll-outs on one of the control planes. */
export interface RolloutPlane {
  readonly name: string;
  /** Address of the gateway of a living process. */
  readonly url: string;
  readonly processIds: readonly number[];
  /** Asks the gateway of a living process. @throws Error if it refuses, or none answers. */
  ask(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown>;
  /** Kills the controller and waits until the roll-out continues; then the killed process is started again. */
  killController(): Promise<TakeOver>;
  stop(): Promise<void>;
}

/** One `sightline run`, which keeps the state of its roll-outs in a folder. */
export async function openMemoryPlane(pipeline: string, env: NodeJS.ProcessEnv): Promise<RolloutPlane> {
  const start = (): Promise<SightlineProcess> => SightlineProcess.start(['run', pipeline], env);
  let running = await start();
  return {
    name: 'memory (sightline run)',
    get url() {
      return running.url;
    },
    get processIds() {
      return [running.pid];
    },
    ask: (method, path, body) => ask([running], method, path, body),
    killController: async () => {
      await running.kill();
      const killedMs = performance.now();
      running = await start();
      await until(async () => isActive(await ask([running], 'GET', '/api/rollouts')));
      return { killed: 'the process', wentOnAt: 'the next process', seconds: secondsSince(killedMs) };
    },
    stop: () => running.kill(),
  };
}

/** Two hosts of a fleet, and a Redis of their own. */
export async function openRedisPlane(pipeline: string, env: NodeJS.ProcessEnv): Promise<RolloutPlane> {
  const redis = await RedisProcess.start();
  const client = new Redis(redis.url);
  const hosts = new Map<string, SightlineProcess>();
  const start = async (id: string): Promise<void> => {
    hosts.set(id, await SightlineProcess.start(['host', pipeline, '--redis', redis.url, '--id', id], env));
  };
  const controller = async (): Promise<string | null> => {
    const [key] = await client.keys('*rollout-controller:*');
    const text = key === undefined ? null : await client.get(key);
    return text === null ? null : (JSON.parse(text) as { readonly hostId: string }).hostId;
  };
  await Promise.all(HOSTS.map(start));
  return {
    name: 'Redis (two sightline host)',
    get url() {
      return [...hosts.values()][0]!.url;
    },
    get processIds() {
      return [...hosts.values()].map(({ pid }) => pid);
    },
    ask: (method, path, body) => ask([...hosts.values()], method, path, body),
    killController: async () => {
      const killed = (await controller())!;
      await hosts.get(killed)!.kill();
      hosts.delete(killed);
      const killedMs = performance.now();
      let wentOnAt: string | null = null;
      await until(async () => {
        wentOnAt = await controller();
        return wentOnAt !== null && wentOnAt !== killed;
      });
      const seconds = secondsSince(killedMs);
      await start(killed);
      return { killed, wentOnAt: wentOnAt!, seconds };
    },
    stop: async () => {
      for (const host of hosts.values()) await host.kill();
      client.disconnect();
      await redis.stop();
    },
  };
}

class SightlineProcess {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  /** @throws Error if it ends, or its gateway is not open in time. */
  static async start(args: readonly string[], env: NodeJS.ProcessEnv): Promise<SightlineProcess> {
    const child = spawn(process.execPath, [SIGHTLINE_ENTRY, ...args, '--port', '0'], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const killChild = (): void => void child.kill('SIGKILL');
    process.once('exit', killChild);
    child.once('exit', () => process.off('exit', killChild));
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-100_000);
    });
    const url = (): string | undefined => /live at (http:\S+)/.exec(log)?.[1];
    const startedMs = performance.now();
    while (url() === undefined) {
      if (child.exitCode !== null || performance.now() - startedMs > START_MS)
        throw new Error(`sightline ${args[0]} did not start: ${log}`);
      await sleep(POLL_MS);
    }
    return new SightlineProcess(child, url()!);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}

async function ask(
  processes: readonly SightlineProcess[],
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  let failure: unknown = new Error('no process runs');
  for (const { url } of processes) {
    try {
      const content =
        body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
      const response = await fetch(`${url}${path}`, { method, ...content });
      const answer: unknown = await response.json();
      if (response.ok) return answer;
      failure = new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function isActive(answer: unknown): boolean {
  const { rollout } = answer as { readonly rollout: RolloutReport | null };
  return rollout !== null && ['running', 'holding'].includes(rollout.state);
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const startedMs = performance.now();
  while (!(await isTrue().catch(() => false))) {
    if (performance.now() - startedMs > START_MS) throw new Error('the roll-out did not continue');
    await sleep(POLL_MS);
  }
}

function secondsSince(startMs: number): number {
  return (performance.now() - startMs) / 1000;
}
