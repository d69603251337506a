import { setTimeout as sleep } from 'node:timers/promises';
import { type BulkJobOptions, FlowProducer, type Job, Queue } from 'bullmq';
import type { JobOrder, Task } from '../../protocol/fleet.ts';
import type { FollowUp } from '../tasks/follow-up.ts';
import { taskId } from '../tasks/task-id.ts';
import type { TaskPolicy } from '../tasks/task-policy.ts';
import { taskPriority } from '../tasks/task-priority.ts';
import type { RedisConnection } from './connect.ts';

/** Tasks that go to Redis together: some ten milliseconds of this thread. */
const TASKS_AT_ONCE = 200;
/** Nobody reads the queue's own journal of events. */
const MOST_EVENTS = 100;
const RETRY_LOOKS = 20;
const RETRY_LOOK_MS = 100;

/** One BullMQ queue for each pipeline, as whoever puts tasks in or takes them out sees them. */
export class BullQueues {
  readonly #connection: RedisConnection;
  readonly #policy: TaskPolicy;
  readonly #queues = new Map<string, Queue>();
  readonly #flows: FlowProducer;
  /** Of all keys of all queues. */
  readonly bullPrefix: string;

  /** @param prefix - of every key, with its hash tag. */
  constructor(connection: RedisConnection, prefix: string, policy: TaskPolicy) {
    this.#connection = connection;
    this.#policy = policy;
    this.bullPrefix = `${prefix}:bull`;
    this.#flows = new FlowProducer({
      connection: connection.client,
      prefix: this.bullPrefix,
      skipVersionCheck: true,
    });
    this.#flows.on('error', unheard);
  }

  /** A queue's name has no colon; a pipeline's may have one. */
  nameOf(pipeline: string): string {
    return encodeURIComponent(pipeline);
  }

  /** What all keys of a pipeline's queue begin with; a task's key is this and its id. */
  keysOf(pipeline: string): string {
    return `${this.bullPrefix}:${this.nameOf(pipeline)}:`;
  }

  /** Adds a split for each input. Those that are there already stay as they are. */
  async addSplits({ id: jobId, pipeline, inputs, priority }: JobOrder): Promise<void> {
    const tasks = inputs.map((_, file): Task => ({ kind: 'split', jobId, pipeline, file }));
    await this.#addBulk(pipeline, tasks, { priority });
  }

  /**
   * Adds the segments of a file and the merge that waits for them. It waits for the split too: that is still being done, so
   * the merge cannot be let go before the last segment was added.
   */
  async addFollowUp(split: Task, { merge, segments }: FollowUp, order: JobOrder): Promise<void> {
    const { pipeline } = split;
    const queueName = this.nameOf(pipeline);
    const node = (task: Task) => ({ queueName, ...this.#entry(task, order) });
    // The segments join afterwards, some at a time: a flow is one transaction, which holds up Redis and this thread.
    await this.#call(() => this.#flows.add({ ...node(merge), children: [node(split)] }));
    const parent = { id: taskId(merge), queue: `${this.bullPrefix}:${queueName}` };
    await this.#addBulk(pipeline, segments, order, { parent });
  }

  /** Takes tasks out of whatever state they are in, except those that a worker holds. */
  async remove(pipeline: string, ids: readonly string[]): Promise<void> {
    const queue = this.#queue(pipeline);
    for (let at = 0; at < ids.length; at += TASKS_AT_ONCE) {
      const some = ids.slice(at, at + TASKS_AT_ONCE);
      await this.#call(() => Promise.all(some.map((id) => queue.remove(id, { removeChildren: false }))));
    }
  }

  /** Puts a task that failed for good back, with all its attempts. @returns false where the queue does not know it. */
  async retry(pipeline: string, id: string): Promise<boolean> {
    const queue = this.#queue(pipeline);
    for (let look = 0; look < RETRY_LOOKS; look++) {
      const job = (await this.#call(() => queue.getJob(id))) as Job | undefined;
      if (job === undefined) return false;
      const state = await this.#call(() => job.getState());
      if (state === 'failed') {
        await this.#call((client) => client.hdel(queue.toKey(id), 'stc'));
        await this.#call(() => job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true }));
        return true;
      }
      // Whoever wrote its dead letter is about to let go of it. Where that host died meanwhile, another takes it anyhow.
      if (state !== 'active') return true;
      await sleep(RETRY_LOOK_MS);
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
    return { name: task.kind, data: task, opts };
  }

  #queue(pipeline: string): Queue {
    let queue = this.#queues.get(pipeline);
    if (queue === undefined) {
      queue = new Queue(this.nameOf(pipeline), {
        connection: this.#connection.client,
        prefix: this.bullPrefix,
        skipVersionCheck: true,
        streams: { events: { maxLen: MOST_EVENTS } },
      });
      queue.on('error', unheard);
      this.#queues.set(pipeline, queue);
    }
    return queue;
  }

  /** The queue would wait for a connection; nothing here does. */
  #call<T>(run: (client: RedisConnection['client']) => Promise<T>): Promise<T> {
    return this.#connection.call((client) => {
      if (client.status !== 'ready') throw new Error('Connection is closed');
      return run(client);
    });
  }
}

/** What goes wrong is thrown by the call that it concerns; an event that nobody hears would end the process. */
function unheard(): void {}
