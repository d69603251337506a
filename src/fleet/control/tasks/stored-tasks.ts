import { type Clock, systemClock } from '../../../base/core/clock.ts';
import type { Incidents } from '../../../base/flow/incidents.ts';
import type { DeadLetter, JobOrder, JobReport } from '../../../wire/protocol/fleet.ts';
import type { TaskCounts, TaskHandler, TaskQueue, TaskWorker } from '../control-plane.ts';
import type { Notices } from '../notices.ts';
import { EntryReader, type StoreOptions } from '../store/entry-reader.ts';
import { type JobFacts, jobReportOf } from './job-facts.ts';
import { JobRecords } from './job-records.ts';
import { OrderCache } from './order-cache.ts';
import { RunningTasks } from './running-tasks.ts';
import type { TaskBroker } from './task-broker.ts';
import { parseTaskId } from './task-id.ts';
import { expiredJobs, type TaskPolicy } from './task-policy.ts';

const FILES_AT_ONCE = 500;
const EXPIRE_EVERY_MS = 600_000;

export interface StoredTasksOptions extends StoreOptions {
  readonly broker: TaskBroker;
  readonly policy: TaskPolicy;
  readonly notices: Notices;
  /** Counts refused records and tasks. */
  readonly incidents: Incidents;
  readonly clock?: Clock;
}

/**
 * The rules of bulk work. A broker holds the open tasks; a record of each job holds what is done. The record is authoritative: a
 * task that is delivered twice may run twice, but counts once.
 */
export class StoredTasks implements TaskQueue {
  readonly #options: StoredTasksOptions;
  readonly #broker: TaskBroker;
  readonly #clock: Clock;
  readonly #records: JobRecords;
  readonly #orders: OrderCache;
  readonly #workers = new Set<TaskWorker>();
  readonly #expiryTimer: NodeJS.Timeout;

  constructor(options: StoredTasksOptions) {
    const { store, broker, notices, incidents, clock = systemClock, signer = null } = options;
    this.#options = options;
    this.#broker = broker;
    this.#clock = clock;
    this.#records = new JobRecords(store, new EntryReader(incidents, signer), signer);
    this.#orders = new OrderCache(this.#records);
    this.#expiryTimer = setInterval(() => {
      this.jobs().catch((error: unknown) => notices.add(String(error)));
    }, EXPIRE_EVERY_MS);
    this.#expiryTimer.unref();
  }

  async submit(order: JobOrder): Promise<void> {
    if (!(await this.#records.open(order))) return;
    await this.#broker.addSplits(order);
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
      const isBack = await Promise.all(some.map(({ taskId }) => this.#broker.retry(facts.pipeline, taskId)));
      // Deleted last: if the process crashes before, the tasks delete the letters when they finish.
      const back = some.filter((_, i) => isBack[i]);
      await this.#records.requeue(jobId, back);
      count += back.length;
    }
    return count;
  }

  async counts(pipeline: string | null): Promise<TaskCounts> {
    return this.#broker.counts(pipeline === null ? await this.#records.pipelines() : [pipeline]);
  }

  work(pipeline: string, concurrency: number, handler: TaskHandler): TaskWorker {
    if (!(concurrency >= 1)) throw new RangeError(`concurrency: expected 1 or more, received ${concurrency}`);
    const { notices, incidents, signer = null } = this.#options;
    const running = new RunningTasks({
      records: this.#records,
      addFollowUp: (split, next, order) => this.#broker.addFollowUp(split, next, order),
      orders: this.#orders,
      handler,
      notice: (text) => notices.add(text),
      isSigned: (id, data) => signer === null || signer.check(`task:${id}`, data) !== 'invalid',
      refuse: (kind, reason) => incidents.refuse('redis-record', kind, () => reason),
    });
    const inner = this.#broker.work(pipeline, concurrency, running);
    const worker: TaskWorker = {
      setPaused: (isPaused) => inner.setPaused(isPaused),
      close: () => inner.close().finally(() => this.#workers.delete(worker)),
    };
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
    await this.#broker.close();
  }

  /** Removes all tasks of these files from the queue: the merge first, so that it cannot start. */
  async #removeFiles({ id, pipeline }: JobFacts, files: readonly number[]): Promise<void> {
    const segments = await this.#records.segments(id, files);
    const names = (kind: string): string[] => files.map((file) => `${id}/${kind}/${file}`);
    const segmentIds = files.flatMap((file, i) =>
      Array.from({ length: segments[i] ?? 0 }, (_, index) => `${id}/segment/${file}/${index}`),
    );
    await this.#broker.remove(pipeline, [...names('merge'), ...segmentIds, ...names('split')]);
  }

  /** Removes finished jobs that are too old or too many. @returns the remaining ones. */
  async #removeExpired(jobs: readonly JobFacts[]): Promise<readonly JobFacts[]> {
    const unwanted = new Set(expiredJobs(jobs, this.#options.policy, Math.floor(this.#clock.now())));
    for (const job of unwanted) {
      // For a failed job, the broker still holds the failed tasks and the merges that wait for them.
      const letters = job.deadLetters === 0 ? [] : await this.#records.deadLetters(job.id);
      const files = new Set(letters.flatMap(({ taskId }) => parseTaskId(taskId)?.file ?? []));
      if (files.size > 0) await this.#removeFiles(job, [...files]);
      await this.#records.forget(job.id);
    }
    return jobs.filter((job) => !unwanted.has(job));
  }
}
