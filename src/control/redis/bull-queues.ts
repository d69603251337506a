import { setTimeout as sleep } from 'node:timers/promises';
import { type BulkJobOptions, FlowProducer, type Job, Queue } from 'bullmq';
import type { JobOrder, Task } from '../../protocol/fleet.ts';
import type { FleetSigner } from '../store/fleet-signer.ts';
import type { FollowUp } from '../tasks/follow-up.ts';
import { taskId } from '../tasks/task-id.ts';
import type { TaskPolicy } from '../tasks/task-policy.ts';
import { taskPriority } from '../tasks/task-priority.ts';
import { queueKeysOf, resetStalls } from './bull-layout.ts';
import type { RedisConnection } from './connect.ts';

/** Tasks added in one call: about ten milliseconds of this thread. */
const TASKS_AT_ONCE = 200;
/** Length of BullMQ's event stream, which nothing here reads. */
const MAX_EVENTS = 100;
const RETRY_CHECKS = 20;
const RETRY_CHECK_MS = 100;

/** Adds tasks to the BullMQ queues, one for each pipeline, removes them and requeues them. */
export class BullQueues {
  readonly #connection: RedisConnection;
  readonly #policy: TaskPolicy;
  readonly #queues = new Map<string, Queue>();
  readonly #flows: FlowProducer;
  readonly #signer: FleetSigner | null;
  /** Prefix of all keys of all queues. */
  readonly bullPrefix: string;

  /** @param prefix - of every key, with its hash tag. */
  constructor(connection: RedisConnection, prefix: string, policy: TaskPolicy, signer: FleetSigner | null = null) {
    this.#connection = connection;
    this.#policy = policy;
    this.#signer = signer;
    this.bullPrefix = `${prefix}:bull`;
    this.#flows = new FlowProducer({
      connection: connection.client,
      prefix: this.bullPrefix,
      skipVersionCheck: true,
    });
    this.#flows.on('error', ignoreError);
  }

  /** BullMQ allows no colon in a queue name; a pipeline's name may have one. */
  nameOf(pipeline: string): string {
    return encodeURIComponent(pipeline);
  }

  /** Returns the prefix of all keys of a pipeline's queue. */
  keysOf(pipeline: string): string {
    return queueKeysOf(this.bullPrefix, this.nameOf(pipeline));
  }

  /** Adds a split task for each input. Existing tasks are left unchanged. */
  async addSplits({ id: jobId, pipeline, inputs, priority }: JobOrder): Promise<void> {
    const tasks = inputs.map((_, file): Task => ({ kind: 'split', jobId, pipeline, file }));
    await this.#addBulk(pipeline, tasks, { priority });
  }

  /**
   * Adds the segments of a file and the merge that waits for them. The merge waits for the split too: the split is still
   * running, so the merge cannot start before the last segment is added.
   */
  async addFollowUp(split: Task, { merge, segments }: FollowUp, order: JobOrder): Promise<void> {
    const { pipeline } = split;
    const queueName = this.nameOf(pipeline);
    const node = (task: Task) => ({ queueName, ...this.#entry(task, order) });
    // The segments are added afterwards, in chunks: a flow is one transaction, which blocks Redis and this thread.
    await this.#call(() => this.#flows.add({ ...node(merge), children: [node(split)] }));
    const parent = { id: taskId(merge), queue: this.#queue(pipeline).qualifiedName };
    await this.#addBulk(pipeline, segments, order, { parent });
  }

  /** Removes tasks in any state, except those that a worker holds. */
  async remove(pipeline: string, ids: readonly string[]): Promise<void> {
    const queue = this.#queue(pipeline);
    for (let at = 0; at < ids.length; at += TASKS_AT_ONCE) {
      const some = ids.slice(at, at + TASKS_AT_ONCE);
      await this.#call(() => Promise.all(some.map((id) => queue.remove(id, { removeChildren: false }))));
    }
  }

  /** Requeues a permanently failed task with all its attempts. @returns false if the queue has no such task. */
  async retry(pipeline: string, id: string): Promise<boolean> {
    const queue = this.#queue(pipeline);
    for (let check = 0; check < RETRY_CHECKS; check++) {
      const job = (await this.#call(() => queue.getJob(id))) as Job | undefined;
      if (job === undefined) return false;
      const state = await this.#call(() => job.getState());
      if (state === 'failed') {
        await this.#call((client) => resetStalls(client, this.keysOf(pipeline), id));
        await this.#call(() => job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true }));
        return true;
      }
      // The worker that wrote its dead letter is about to release it. If that host died, another one takes the task anyway.
      if (state !== 'active') return true;
      await sleep(RETRY_CHECK_MS);
    }
    return true;
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
    const { attempts } = this.#policy;
    const opts = {
      jobId: taskId(task),
      priority: taskPriority(task.kind, order),
      attempts,
      backoff: { type: 'custom' },
      stackTraceLimit: 0,
      ...more,
    };
    const data = this.#signer === null ? task : this.#signer.sign(`task:${taskId(task)}`, task);
    return { name: task.kind, data, opts };
  }

  #queue(pipeline: string): Queue {
    let queue = this.#queues.get(pipeline);
    if (queue === undefined) {
      queue = new Queue(this.nameOf(pipeline), {
        connection: this.#connection.client,
        prefix: this.bullPrefix,
        skipVersionCheck: true,
        streams: { events: { maxLen: MAX_EVENTS } },
      });
      queue.on('error', ignoreError);
      this.#queues.set(pipeline, queue);
    }
    return queue;
  }

  /** Rejects at once without a connection; BullMQ itself would wait for one. */
  #call<T>(run: (client: RedisConnection['client']) => Promise<T>): Promise<T> {
    return this.#connection.call((client) => {
      if (client.status !== 'ready') throw new Error('Connection is closed');
      return run(client);
    });
  }
}

/** Each call throws its own failure; an `error` event without a listener would end the process. */
function ignoreError(): void {}
