import { type Clock, systemClock } from '../../core/clock.ts';
import { Incidents } from '../../flow/incidents.ts';
import type { DeadLetter, JobOrder, JobReport } from '../../protocol/fleet.ts';
import type { TaskCounts, TaskHandler, TaskQueue, TaskWorker } from '../control-plane.ts';
import type { Notices } from '../notices.ts';
import { EntryReader } from '../store/entry-reader.ts';
import type { FleetSigner } from '../store/fleet-signer.ts';
import { expiredJobs } from '../tasks/expired-jobs.ts';
import { type JobFacts, jobReportOf } from '../tasks/job-facts.ts';
import { parseTaskId } from '../tasks/task-id.ts';
import { DEFAULT_TASK_POLICY, type TaskPolicy } from '../tasks/task-policy.ts';
import { BullQueues } from './bull-queues.ts';
import { BullWorker, DEFAULT_TIMINGS, type WorkerTimings } from './bull-worker.ts';
import type { RedisConnection } from './connect.ts';
import { JobRecords } from './job-records.ts';
import { OrderCache } from './order-cache.ts';
import type { RedisAddress } from './redis-address.ts';

const FILES_AT_ONCE = 500;
const EXPIRE_EVERY_MS = 600_000;

export interface BullTasksOptions {
  /** For everything except taking tasks; stays open when the queue is closed. */
  readonly connection: RedisConnection;
  /** Where workers connect: each has two connections of its own. */
  readonly address: RedisAddress;
  /** Prefix of every key, with its hash tag. */
  readonly prefix: string;
  readonly notices: Notices;
  readonly policy?: Partial<TaskPolicy>;
  readonly timings?: Partial<WorkerTimings>;
  readonly clock?: Clock;
  /** Signs and checks records and tasks; null or absent: they are not signed. */
  readonly signer?: FleetSigner | null;
  /** Counts refused records and tasks; without it they become notices. */
  readonly incidents?: Incidents;
}

/**
 * The task queue in Redis. BullMQ holds the open tasks, in one queue for each pipeline; a record of each job holds what is
 * done. The record is authoritative: a task that BullMQ delivers twice may run twice, but counts once.
 */
export class BullTasks implements TaskQueue {
  readonly #options: BullTasksOptions;
  readonly #incidents: Incidents;
  readonly #policy: TaskPolicy;
  readonly #clock: Clock;
  readonly #records: JobRecords;
  readonly #queues: BullQueues;
  readonly #orders: OrderCache;
  readonly #workers = new Set<BullWorker>();
  readonly #expiryTimer: NodeJS.Timeout;

  constructor(options: BullTasksOptions) {
    const { connection, prefix, notices, policy = {}, clock = systemClock, signer = null } = options;
    this.#incidents = options.incidents ?? new Incidents((text) => notices.add(text));
    this.#options = options;
    this.#policy = { ...DEFAULT_TASK_POLICY, ...policy };
    this.#clock = clock;
    this.#records = new JobRecords(connection, prefix, new EntryReader(this.#incidents, signer), signer);
    this.#queues = new BullQueues(connection, prefix, this.#policy, signer);
    this.#orders = new OrderCache(this.#records);
    this.#expiryTimer = setInterval(() => {
      this.jobs().catch((error: unknown) => notices.add(String(error)));
    }, EXPIRE_EVERY_MS);
    this.#expiryTimer.unref();
  }

  async submit(order: JobOrder): Promise<void> {
    if (!(await this.#records.open(order))) return;
    await this.#queues.addSplits(order);
    await this.#records.markQueued(order.id);
    await this.#removeExpired(await this.#records.allFacts());
  }

  async jobs(): Promise<readonly JobReport[]> {
    const kept = await this.#removeExpired(await this.#records.allFacts());
    return kept.map(jobReportOf);
  }

  async job(jobId: string): Promise<{ report: JobReport; order: JobOrder; deadLetters: readonly DeadLetter[] }> {
    const { facts, digest } = await this.#records.facts(jobId);
    const [order, deadLetters] = await Promise.all([this.#orders.get(jobId, digest), this.#records.deadLetters(jobId)]);
    return { report: jobReportOf(facts), order, deadLetters };
  }

  /** Running tasks are aborted with their worker's next tick. */
  async cancel(jobId: string): Promise<void> {
    const { facts } = await this.#records.facts(jobId);
    if (!(await this.#records.cancel(jobId))) return;
    for (let from = 0; from < facts.inputs; from += FILES_AT_ONCE) {
      const files = Array.from({ length: Math.min(FILES_AT_ONCE, facts.inputs - from) }, (_, i) => from + i);
      await this.#removeFiles(facts, files);
    }
  }

  async retry(jobId: string): Promise<number> {
    const { facts } = await this.#records.facts(jobId);
    if (facts.isCancelled) return 0;
    const letters = await this.#records.deadLetters(jobId);
    let count = 0;
    for (let at = 0; at < letters.length; at += FILES_AT_ONCE) {
      const some = letters.slice(at, at + FILES_AT_ONCE);
      const isBack = await Promise.all(some.map(({ taskId }) => this.#queues.retry(facts.pipeline, taskId)));
      // Deleted last: if the process crashes before, the tasks delete the letters when they finish.
      const back = some.filter((_, i) => isBack[i]);
      await this.#records.requeue(jobId, back);
      count += back.length;
    }
    return count;
  }

  async counts(pipeline: string | null): Promise<TaskCounts> {
    const pipelines = pipeline === null ? await this.#records.pipelines() : [pipeline];
    return this.#records.counts(pipelines.map((name) => this.#queues.keysOf(name)));
  }

  work(pipeline: string, concurrency: number, handler: TaskHandler): TaskWorker {
    const { address, notices, timings } = this.#options;
    const worker: BullWorker = new BullWorker({
      pipeline,
      concurrency,
      handler,
      records: this.#records,
      queues: this.#queues,
      orders: this.#orders,
      address,
      policy: this.#policy,
      timings: { ...DEFAULT_TIMINGS, ...timings },
      notices,
      incidents: this.#incidents,
      signer: this.#options.signer ?? null,
      onClosed: () => this.#workers.delete(worker),
    });
    this.#workers.add(worker);
    return worker;
  }

  /** Workers that are not closed. */
  get workerCount(): number {
    return this.#workers.size;
  }

  async close(): Promise<void> {
    clearInterval(this.#expiryTimer);
    await Promise.all(Array.from(this.#workers, (worker) => worker.close()));
    await this.#queues.close();
  }

  /** Removes all tasks of these files from the queue: the merge first, so that it cannot start. */
  async #removeFiles({ id, pipeline }: JobFacts, files: readonly number[]): Promise<void> {
    const segments = await this.#records.segments(id, files);
    const names = (kind: string): string[] => files.map((file) => `${id}/${kind}/${file}`);
    const segmentIds = files.flatMap((file, i) =>
      Array.from({ length: segments[i] ?? 0 }, (_, index) => `${id}/segment/${file}/${index}`),
    );
    await this.#queues.remove(pipeline, [...names('merge'), ...segmentIds, ...names('split')]);
  }

  /** Removes finished jobs that are too old or too many. @returns the remaining ones. */
  async #removeExpired(jobs: readonly JobFacts[]): Promise<readonly JobFacts[]> {
    const unwanted = new Set(expiredJobs(jobs, this.#policy, Math.floor(this.#clock.now())));
    for (const job of unwanted) {
      // For a failed job, BullMQ still holds the failed tasks and the merges that wait for them.
      const letters = job.deadLetters === 0 ? [] : await this.#records.deadLetters(job.id);
      const files = new Set(letters.flatMap(({ taskId }) => parseTaskId(taskId)?.file ?? []));
      if (files.size > 0) await this.#removeFiles(job, [...files]);
      await this.#records.forget(job.id);
    }
    return jobs.filter((job) => !unwanted.has(job));
  }
}
