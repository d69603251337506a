import { afterAll, afterEach, describe } from 'vitest';
import { type Clock, systemClock } from '../../src/base/core/clock.ts';
import { Incidents } from '../../src/base/flow/incidents.ts';
import type { TaskHandler, TaskQueue, TaskWorker } from '../../src/fleet/control/control-plane.ts';
import { MemoryBroker } from '../../src/fleet/control/memory/memory-broker.ts';
import { Notices } from '../../src/fleet/control/notices.ts';
import { BullBroker } from '../../src/fleet/control/redis/bull-broker.ts';
import type { WorkerTimings } from '../../src/fleet/control/redis/bull-worker.ts';
import { keyPrefix, RedisConnection } from '../../src/fleet/control/redis/connect.ts';
import { RedisStore } from '../../src/fleet/control/redis/redis-store.ts';
import { MemoryStore } from '../../src/fleet/control/store/memory-store.ts';
import { StoredTasks } from '../../src/fleet/control/tasks/stored-tasks.ts';
import { DEFAULT_TASK_POLICY, type TaskPolicy } from '../../src/fleet/control/tasks/task-policy.ts';
import type { JobState } from '../../src/wire/protocol/fleet.ts';
import { RedisServer, redisMissing } from './redis-server.ts';
import { waitFor } from './wait-for.ts';

export interface OpenQueue {
  readonly tasks: TaskQueue;
  close(): Promise<void>;
}

interface QueueKind {
  readonly name: string;
  /** Why it cannot be tested; null if it can. */
  readonly missing: string | null;
  open(policy: Partial<TaskPolicy>): Promise<OpenQueue>;
}

const memoryQueue: QueueKind = {
  name: 'memory',
  missing: null,
  async open(policy) {
    const tasks = memoryTasks(systemClock, policy);
    return { tasks, close: () => tasks.close() };
  },
};

/** A queue of one process. @param random - for the jitter of the back-off. */
export function memoryTasks(clock: Clock, more: Partial<TaskPolicy> = {}, random?: () => number): StoredTasks {
  const policy = { ...DEFAULT_TASK_POLICY, ...more };
  const broker = new MemoryBroker({ clock, policy, random, tickMs: 20 });
  const shared = { notices: new Notices(() => {}, clock), incidents: new Incidents() };
  return new StoredTasks({ store: new MemoryStore(clock), broker, policy, clock, ...shared });
}

let server: RedisServer | null = null;
let prefixes = 0;

const redisQueue: QueueKind = {
  name: 'redis',
  missing: redisMissing,
  async open(policy) {
    server ??= await RedisServer.open();
    prefixes += 1;
    return openBullTasks(server.url, `test${prefixes}`, { policy, timings: { tickMs: 100 } });
  },
};

const KINDS: readonly QueueKind[] = [memoryQueue, redisQueue];

export interface OpenBullQueue extends OpenQueue {
  readonly tasks: StoredTasks;
  readonly notices: readonly string[];
  readonly incidents: Incidents;
}

/** A queue with its own connection, as on a host. */
export async function openBullTasks(
  url: string,
  name: string,
  more: { readonly policy?: Partial<TaskPolicy>; readonly timings?: Partial<WorkerTimings> },
  commandTimeoutMs = 2_000,
): Promise<OpenBullQueue> {
  const heard: string[] = [];
  const onNotice = (text: string): void => void heard.push(text);
  const connection = await RedisConnection.open({ url, caFile: null, commandTimeoutMs, onNotice });
  const notices = new Notices(onNotice, systemClock);
  const incidents = new Incidents(onNotice);
  const prefix = keyPrefix(name);
  const policy = { ...DEFAULT_TASK_POLICY, ...more.policy };
  const broker = new BullBroker({ connection, prefix, policy, notices, incidents, timings: more.timings });
  const tasks = new StoredTasks({ store: new RedisStore(connection, prefix), broker, policy, notices, incidents });
  const close = async (): Promise<void> => {
    await tasks.close();
    await connection.close();
  };
  return { tasks, close, notices: heard, incidents };
}

const QUICK: Partial<TaskPolicy> = { firstRetryMs: 20, maxRetryMs: 40 };

export interface QueueBench {
  openTasks(policy?: Partial<TaskPolicy>): Promise<TaskQueue>;
  work(tasks: TaskQueue, concurrency: number, handler: TaskHandler, pipeline?: string): TaskWorker;
  untilState(tasks: TaskQueue, jobId: string, state: JobState): Promise<unknown>;
}

/** Runs the same tests against every task queue; workers and queues are closed after each. */
export function describeQueues(claims: (bench: QueueBench) => void): void {
  for (const kind of KINDS) {
    if (kind.missing !== null) console.warn(`the ${kind.name} task queue is not tested: ${kind.missing}`);
    describe.skipIf(kind.missing !== null)(`task queue: ${kind.name}`, () => {
      const open: OpenQueue[] = [];
      const workers: TaskWorker[] = [];
      afterEach(async () => {
        await Promise.all(workers.splice(0).map((worker) => worker.close()));
        await Promise.all(open.splice(0).map((queue) => queue.close()));
      });
      afterAll(async () => {
        if (kind === redisQueue) await server?.close();
      });
      claims({
        async openTasks(policy = {}) {
          const queue = await kind.open({ ...QUICK, ...policy });
          open.push(queue);
          return queue.tasks;
        },
        work(tasks, concurrency, handler, pipeline = 'bulk') {
          const worker = tasks.work(pipeline, concurrency, handler);
          workers.push(worker);
          return worker;
        },
        untilState(tasks, jobId, state) {
          const isThere = async (): Promise<boolean> => (await tasks.job(jobId)).report.state === state;
          return waitFor(`job ${jobId} is ${state}`, isThere, {}, async () => JSON.stringify(await tasks.job(jobId)));
        },
      });
    });
  }
}
