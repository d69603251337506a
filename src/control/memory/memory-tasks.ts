import type { Clock } from '../../core/clock.ts';
import type { DeadLetter, JobOrder, JobReport, Task } from '../../protocol/fleet.ts';
import type { TaskCounts, TaskHandler, TaskQueue, TaskWorker } from '../control-plane.ts';
import { expiredJobs } from '../tasks/expired-jobs.ts';
import { followUp } from '../tasks/follow-up.ts';
import { isDone } from '../tasks/job-accounting.ts';
import { jobErrors } from '../tasks/job-errors.ts';
import { jobReportOf } from '../tasks/job-facts.ts';
import { orderDigest } from '../tasks/order-digest.ts';
import { taskFailure } from '../tasks/task-failure.ts';
import { taskId } from '../tasks/task-id.ts';
import { DEFAULT_TASK_POLICY, retryDelayMs, type TaskPolicy } from '../tasks/task-policy.ts';
import { taskPriority } from '../tasks/task-priority.ts';
import { MemoryJob } from './memory-job.ts';
import { MemoryWorker } from './memory-worker.ts';
import { PriorityQueue } from './priority-queue.ts';

export interface MemoryTasksOptions {
  readonly clock: Clock;
  readonly policy?: Partial<TaskPolicy>;
  /** Uniform in [0, 1), for the jitter of the back-off. */
  readonly random?: () => number;
}

interface Entry {
  readonly task: Task;
  readonly job: MemoryJob;
  readonly priority: number;
  /** When it was queued, or requeued after a failure. */
  readonly sinceMs: number;
  readonly attempts: number;
}

interface Pipeline {
  readonly ready: PriorityQueue<Entry>;
  /** Entries that wait for their next attempt; the function cancels the timer. */
  readonly delayed: Map<Entry, () => void>;
  readonly workers: Set<MemoryWorker<Entry>>;
}

/** The task queue within one process: its contents end with the process. */
export class MemoryTasks implements TaskQueue {
  readonly #clock: Clock;
  readonly #policy: TaskPolicy;
  readonly #random: () => number;
  readonly #jobs = new Map<string, MemoryJob>();
  readonly #pipelines = new Map<string, Pipeline>();

  constructor({ clock, policy = {}, random = Math.random }: MemoryTasksOptions) {
    this.#clock = clock;
    this.#policy = { ...DEFAULT_TASK_POLICY, ...policy };
    this.#random = random;
  }

  async submit(order: JobOrder): Promise<void> {
    const digest = await orderDigest(order);
    const known = this.#jobs.get(order.id);
    if (known !== undefined) {
      if (known.digest !== digest) throw jobErrors.jobExists(order.id);
      return;
    }
    const job = new MemoryJob(order, digest);
    this.#jobs.set(order.id, job);
    const { id: jobId, pipeline } = order;
    this.#add(
      job,
      order.inputs.map((_, file) => ({ kind: 'split', jobId, pipeline, file })),
    );
    this.#removeExpired();
  }

  async jobs(): Promise<readonly JobReport[]> {
    this.#removeExpired();
    return this.#newestFirst().map((job) => jobReportOf(job.facts()));
  }

  async job(jobId: string): Promise<{ report: JobReport; order: JobOrder; deadLetters: readonly DeadLetter[] }> {
    const job = this.#job(jobId);
    return { report: jobReportOf(job.facts()), order: job.order, deadLetters: job.deadLetters };
  }

  async cancel(jobId: string): Promise<void> {
    const job = this.#job(jobId);
    if (isDone(job.facts())) return;
    job.cancel(this.#nowMs());
    const { ready, delayed, workers } = this.#pipeline(job.order.pipeline);
    ready.removeWhere((entry) => entry.job === job);
    for (const [entry, stopTimer] of [...delayed]) {
      if (entry.job !== job) continue;
      stopTimer();
      delayed.delete(entry);
    }
    for (const worker of workers) worker.abortWhere((entry) => entry.job === job);
  }

  async retry(jobId: string): Promise<number> {
    const job = this.#job(jobId);
    if (job.isCancelled) return 0;
    const tasks = job.requeue(this.#nowMs());
    this.#add(job, tasks);
    return tasks.length;
  }

  async counts(pipeline: string | null): Promise<TaskCounts> {
    const names = pipeline === null ? [...this.#pipelines.keys()] : [pipeline];
    const nowMs = this.#nowMs();
    let waiting = 0;
    let active = 0;
    let oldestMs = nowMs;
    for (const name of names) {
      const { ready, delayed, workers } = this.#pipeline(name);
      waiting += ready.size + delayed.size;
      for (const worker of workers) active += worker.activeCount;
      for (const { sinceMs } of [...ready, ...delayed.keys()]) oldestMs = Math.min(oldestMs, sinceMs);
    }
    return { waiting, active, oldestWaitingMs: nowMs - oldestMs };
  }

  work(pipeline: string, concurrency: number, handler: TaskHandler): TaskWorker {
    const { ready, workers } = this.#pipeline(pipeline);
    const worker: MemoryWorker<Entry> = new MemoryWorker(concurrency, {
      take: () => ready.take(),
      run: (entry, abort) => this.#run(entry, abort, handler),
      onClosed: () => workers.delete(worker),
    });
    workers.add(worker);
    worker.pump();
    return worker;
  }

  /** Closes all workers and cancels pending retries. */
  async close(): Promise<void> {
    const pipelines = [...this.#pipelines.values()];
    await Promise.all(pipelines.flatMap(({ workers }) => Array.from(workers, (worker) => worker.close())));
    for (const { delayed } of pipelines) {
      for (const stopTimer of delayed.values()) stopTimer();
      delayed.clear();
    }
  }

  async #run(entry: Entry, abort: AbortController, handler: TaskHandler): Promise<void> {
    const { task, job } = entry;
    job.begin(task, this.#nowMs());
    try {
      const outcome = await handler(task, job.order, {
        signal: abort.signal,
        progress: (frames) => job.progress(task, frames),
      });
      if (job.isCancelled) return;
      const next = followUp(task, outcome);
      this.#add(job, job.finish(task, outcome.frames, next, this.#nowMs()));
    } catch (error) {
      if (job.isCancelled) return;
      if (abort.signal.aborted) this.#returnToQueue(entry);
      else this.#fail(entry, error);
    }
  }

  /** The attempt does not count: it was not the task's fault. */
  #returnToQueue(entry: Entry): void {
    this.#pipeline(entry.task.pipeline).ready.putBack(entry);
    this.#wake(entry.task.pipeline);
  }

  #fail(entry: Entry, error: unknown): void {
    const { task, job } = entry;
    const attempts = entry.attempts + 1;
    const { reason, isRetryable } = taskFailure(error);
    if (isRetryable && attempts < this.#policy.attempts) {
      this.#delay({ ...entry, attempts }, retryDelayMs(attempts, this.#policy, this.#random));
      return;
    }
    const failedMs = this.#nowMs();
    const input = job.order.inputs[task.file] ?? '';
    const letter = { taskId: taskId(task), jobId: task.jobId, kind: task.kind, input, reason, attempts, failedMs };
    job.addDeadLetter(task, letter, failedMs);
  }

  #delay(entry: Entry, delayMs: number): void {
    const { ready, delayed } = this.#pipeline(entry.task.pipeline);
    const onDue = (): void => {
      delayed.delete(entry);
      ready.add(entry);
      this.#wake(entry.task.pipeline);
    };
    delayed.set(entry, this.#clock.setTimer(onDue, delayMs));
  }

  #add(job: MemoryJob, tasks: readonly Task[]): void {
    const sinceMs = this.#nowMs();
    const { pipeline } = job.order;
    const { ready } = this.#pipeline(pipeline);
    for (const task of tasks)
      ready.add({ task, job, priority: taskPriority(task.kind, job.order), sinceMs, attempts: 0 });
    this.#wake(pipeline);
  }

  #wake(pipeline: string): void {
    for (const worker of this.#pipeline(pipeline).workers) worker.pump();
  }

  #pipeline(name: string): Pipeline {
    let pipeline = this.#pipelines.get(name);
    if (pipeline === undefined) {
      pipeline = { ready: new PriorityQueue(), delayed: new Map(), workers: new Set() };
      this.#pipelines.set(name, pipeline);
    }
    return pipeline;
  }

  #job(jobId: string): MemoryJob {
    const job = this.#jobs.get(jobId);
    if (job === undefined) throw jobErrors.jobNotFound(jobId);
    return job;
  }

  #newestFirst(): MemoryJob[] {
    return [...this.#jobs.values()].reverse().sort((a, b) => b.order.createdMs - a.order.createdMs);
  }

  #removeExpired(): void {
    const jobs = this.#newestFirst().map((job) => job.facts());
    for (const { id } of expiredJobs(jobs, this.#policy, this.#nowMs())) this.#jobs.delete(id);
  }

  #nowMs(): number {
    return Math.floor(this.#clock.now());
  }
}
