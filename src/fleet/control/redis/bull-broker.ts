import { setTimeout as sleep } from 'node:timers/promises';
import { type BulkJobOptions, FlowProducer, type Job, Queue } from 'bullmq';
import type { Incidents } from '../../../base/flow/incidents.ts';
import type { JobOrder, Task } from '../../../wire/protocol/fleet.ts';
import type { TaskCounts, TaskWorker } from '../control-plane.ts';
import type { Notices } from '../notices.ts';
import type { FleetSigner } from '../store/fleet-signer.ts';
import type { FollowUp } from '../tasks/follow-up.ts';
import type { TaskLock } from '../tasks/job-records.ts';
import type { RunningTasks } from '../tasks/running-tasks.ts';
import type { TaskBroker } from '../tasks/task-broker.ts';
import { taskId } from '../tasks/task-id.ts';
import { type TaskPolicy, taskPriority } from '../tasks/task-policy.ts';
import { BULL_LUA, lockKeyOf, queueKeysOf, resetStalls } from './bull-layout.ts';
import { BullWorker, DEFAULT_TIMINGS, type WorkerTimings } from './bull-worker.ts';
import type { RedisConnection } from './connect.ts';
import { RedisScript } from './redis-script.ts';

/** Tasks added in one call: about ten milliseconds of this thread. */
const TASKS_AT_ONCE = 200;
/** Length of BullMQ's event stream, which nothing here reads. */
const MAX_EVENTS = 100;
const RETRY_CHECKS = 20;
const RETRY_CHECK_MS = 100;

/** What BullMQ's own calls do not answer. Each script with its arguments and its reply. */
const scripts = {
  /** queue, task, token -> 1 if the worker has the task. */
  holds: script('return bull.holds(ARGV[1], ARGV[2], ARGV[3]) and 1 or 0'),

  /** queue, lockMs, stalledMs -> number of tasks that a worker could take now. */
  tick: script(`
bull.mendClock(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
return bull.ready(ARGV[1])
`),

  /** (prefix of a queue's keys)... -> waiting, active, age of the oldest in ms. */
  counts: script(`
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local waiting, active, oldestMs = 0, 0, nowMs
for _, queue in ipairs(ARGV) do
  waiting = waiting + bull.ready(queue) + bull.delayed(queue)
  active = active + bull.active(queue)
  for _, task in ipairs(bull.heads(queue)) do
    -- A merge is as old as its split, but it is ready only since its last segment was done.
    if not string.find(task, '/merge/', 1, true) then oldestMs = math.min(oldestMs, bull.addedMs(queue, task) or nowMs) end
  end
end
return {waiting, active, nowMs - oldestMs}
`),
} as const;

function script(body: string): RedisScript {
  return new RedisScript(BULL_LUA + body);
}

export interface BullBrokerOptions {
  /** For everything except taking tasks; stays open. Workers connect to the same address: each has two connections of its own. */
  readonly connection: RedisConnection;
  /** Prefix of every key, with its hash tag. */
  readonly prefix: string;
  readonly policy: TaskPolicy;
  readonly notices: Notices;
  /** Counts refused tasks. */
  readonly incidents: Incidents;
  readonly timings?: Partial<WorkerTimings> | undefined;
  /** Signs tasks; null or absent: they are not signed. */
  readonly signer?: FleetSigner | null;
}

/** Keeps the tasks in the queues of BullMQ. */
export class BullBroker implements TaskBroker {
  readonly #options: BullBrokerOptions;
  readonly #queues = new Map<string, Queue>();
  readonly #flows: FlowProducer;
  /** Prefix of all keys of all queues. */
  readonly #bullPrefix: string;

  constructor(options: BullBrokerOptions) {
    this.#options = options;
    this.#bullPrefix = `${options.prefix}:bull`;
    this.#flows = new FlowProducer({
      connection: options.connection.client,
      prefix: this.#bullPrefix,
      skipVersionCheck: true,
    });
    this.#flows.on('error', ignoreError);
  }

  async addSplits({ id: jobId, pipeline, inputs, priority }: JobOrder): Promise<void> {
    const tasks = inputs.map((_, file): Task => ({ kind: 'split', jobId, pipeline, file }));
    await this.#addBulk(pipeline, tasks, { priority });
  }

  async addFollowUp(split: Task, { merge, segments }: FollowUp, order: JobOrder): Promise<void> {
    const { pipeline } = split;
    const queueName = nameOf(pipeline);
    const node = (task: Task) => ({ queueName, ...this.#entry(task, order) });
    // The segments are added afterwards, in chunks: a flow is one transaction, which blocks Redis and this thread.
    await this.#call(() => this.#flows.add({ ...node(merge), children: [node(split)] }));
    const parent = { id: taskId(merge), queue: this.#queue(pipeline).qualifiedName };
    await this.#addBulk(pipeline, segments, order, { parent });
  }

  async remove(pipeline: string, ids: readonly string[]): Promise<void> {
    const queue = this.#queue(pipeline);
    for (let at = 0; at < ids.length; at += TASKS_AT_ONCE) {
      const some = ids.slice(at, at + TASKS_AT_ONCE);
      await this.#call(() => Promise.all(some.map((id) => queue.remove(id, { removeChildren: false }))));
    }
  }

  async retry(pipeline: string, id: string): Promise<boolean> {
    const queue = this.#queue(pipeline);
    for (let check = 0; check < RETRY_CHECKS; check++) {
      const job = (await this.#call(() => queue.getJob(id))) as Job | undefined;
      if (job === undefined) return false;
      const state = await this.#call(() => job.getState());
      if (state === 'failed') {
        await this.#call((client) => resetStalls(client, this.#keysOf(pipeline), id));
        await this.#call(() => job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true }));
        return true;
      }
      // The worker that wrote its dead letter is about to release it. If that host died, another one takes the task anyway.
      if (state !== 'active') return true;
      await sleep(RETRY_CHECK_MS);
    }
    return true;
  }

  async counts(pipelines: readonly string[]): Promise<TaskCounts> {
    const queues = pipelines.map((pipeline) => this.#keysOf(pipeline));
    const [waiting, active, oldestMs] = (await this.#run('counts', queues)) as [number, number, number];
    return { waiting, active, oldestWaitingMs: Math.max(0, oldestMs) };
  }

  work(pipeline: string, concurrency: number, running: RunningTasks): TaskWorker {
    const { connection, policy, notices, incidents, prefix } = this.#options;
    const timings = { ...DEFAULT_TIMINGS, ...this.#options.timings };
    const queueKeys = this.#keysOf(pipeline);
    return new BullWorker({
      pipeline,
      queue: { name: nameOf(pipeline), prefix: this.#bullPrefix },
      concurrency,
      running,
      address: connection.address,
      policy,
      timings,
      notices,
      incidents,
      lockOf: (id, token): TaskLock => ({
        isHeld: async (transaction) => {
          if ((await this.#run('holds', [queueKeys, id, token])) === 0) return false;
          transaction.guard(['GET', lockKeyOf(queueKeys, id).slice(prefix.length + 1)], token);
          return true;
        },
      }),
      tick: () => this.#run('tick', [queueKeys, timings.lockMs, timings.stalledMs]) as Promise<number>,
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.#flows.close(), ...Array.from(this.#queues.values(), (queue) => queue.close())]);
  }

  async #addBulk(
    pipeline: string,
    tasks: readonly Task[],
    order: Pick<JobOrder, 'priority'>,
    more: BulkJobOptions = {},
  ): Promise<void> {
    for (let at = 0; at < tasks.length; at += TASKS_AT_ONCE) {
      const entries = tasks.slice(at, at + TASKS_AT_ONCE).map((task) => this.#entry(task, order, more));
      await this.#call(() => this.#queue(pipeline).addBulk(entries));
    }
  }

  #entry(task: Task, order: Pick<JobOrder, 'priority'>, more: BulkJobOptions = {}) {
    const { policy, signer } = this.#options;
    const opts = {
      jobId: taskId(task),
      priority: taskPriority(task.kind, order),
      attempts: policy.attempts,
      backoff: { type: 'custom' },
      stackTraceLimit: 0,
      ...more,
    };
    return { name: task.kind, data: signer?.sign(`task:${taskId(task)}`, task) ?? task, opts };
  }

  #keysOf(pipeline: string): string {
    return queueKeysOf(this.#bullPrefix, nameOf(pipeline));
  }

  #queue(pipeline: string): Queue {
    let queue = this.#queues.get(pipeline);
    if (queue === undefined) {
      queue = new Queue(nameOf(pipeline), {
        connection: this.#options.connection.client,
        prefix: this.#bullPrefix,
        skipVersionCheck: true,
        streams: { events: { maxLen: MAX_EVENTS } },
      });
      queue.on('error', ignoreError);
      this.#queues.set(pipeline, queue);
    }
    return queue;
  }

  #run(name: keyof typeof scripts, args: readonly (string | number)[]): Promise<unknown> {
    const { connection, prefix } = this.#options;
    return connection.call((client) => scripts[name].run(client, prefix, args));
  }

  /** Rejects at once without a connection; BullMQ itself would wait for one. */
  #call<T>(run: (client: RedisConnection['client']) => Promise<T>): Promise<T> {
    return this.#options.connection.call((client) => {
      if (client.status !== 'ready') throw new Error('Connection is closed');
      return run(client);
    });
  }
}

/** BullMQ allows no colon in a queue name; a pipeline's name may have one. */
function nameOf(pipeline: string): string {
  return encodeURIComponent(pipeline);
}

/** Each call throws its own failure; an `error` event without a listener would end the process. */
function ignoreError(): void {}
