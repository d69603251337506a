import { type Job, type JobJson, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { monoNowMs } from '../../../base/core/clock.ts';
import type { Incidents } from '../../../base/flow/incidents.ts';
import { settlesWithin } from '../../../base/flow/settles-within.ts';
import type { TaskWorker } from '../control-plane.ts';
import type { Notices } from '../notices.ts';
import type { TaskLock } from '../tasks/job-records.ts';
import type { RunningTasks } from '../tasks/running-tasks.ts';
import { retryDelayMs, type TaskPolicy } from '../tasks/task-policy.ts';
import type { TaskEnd } from '../tasks/task-run.ts';
import { redisOptions } from './connect.ts';
import type { RedisAddress } from './redis-address.ts';
import { failureText } from './redis-failure.ts';

export interface WorkerTimings {
  /** A worker that does not renew the lock of a task for this long loses the task. */
  readonly lockMs: number;
  /** Time between two searches for tasks whose lock expired. */
  readonly stalledMs: number;
  /** Time between two ticks, which report progress and fetch cancelled and lost tasks. */
  readonly tickMs: number;
  /** A worker that takes no task for this long, although some wait and it has room, is replaced. */
  readonly deafMs: number;
}

/** Another host takes the tasks of a killed host after at most lockMs + stalledMs. */
export const DEFAULT_TIMINGS: WorkerTimings = { lockMs: 6_000, stalledMs: 2_500, tickMs: 1_000, deafMs: 10_000 };

/** Longer than BullMQ's longest blocking wait for a task (10 s), after which BullMQ checks its connection itself. */
const SOCKET_TIMEOUT_MS = 15_000;
/** How often an idle worker polls for tasks that came without a notification. */
const POLL_SECONDS = 1;
const RETRY_MS = 300;
const CLOSE_TIMEOUT_MS = 2_000;

export interface BullWorkerOptions {
  readonly pipeline: string;
  /** Of BullMQ. */
  readonly queue: { readonly name: string; readonly prefix: string };
  readonly concurrency: number;
  readonly running: RunningTasks;
  readonly address: RedisAddress;
  readonly policy: TaskPolicy;
  readonly timings: WorkerTimings;
  readonly notices: Notices;
  readonly incidents: Incidents;
  /** @param token - of BullMQ's lock. */
  readonly lockOf: (taskId: string, token: string) => TaskLock;
  /** Mends the queue's keys after the clock of Redis went back. @returns the number of tasks that could be taken now. */
  readonly tick: () => Promise<number>;
}

/** BullMQ's worker, for queues that other programs may write to. */
class TolerantWorker extends Worker {
  /** Accepts malformed tasks: BullMQ would throw, and take the same task again whenever its lock has expired. */
  protected override createJob(json: JobJson, jobId: string): Job {
    try {
      return super.createJob(json, jobId);
    } catch {
      const job = super.createJob({ ...json, data: '{}' }, jobId);
      // Marks it as malformed: JSON has no `undefined`.
      job.data = undefined;
      return job;
    }
  }
}

/** Runs tasks of one pipeline from its BullMQ queue, and replaces BullMQ's worker if it gets stuck. */
export class BullWorker implements TaskWorker {
  readonly #options: BullWorkerOptions;
  readonly #watch: WorkerWatch;
  readonly #ticking: NodeJS.Timeout;
  #bull: { readonly worker: Worker; readonly connection: Redis };
  #taken = 0;
  #isPaused = false;
  #isTicking = false;
  /** Redis did not answer the last tick. */
  #isUnreachable = false;
  #closed: Promise<void> | null = null;

  constructor(options: BullWorkerOptions) {
    this.#options = options;
    const { timings, incidents } = options;
    this.#watch = new WorkerWatch(timings.deafMs);
    this.#bull = this.#start();
    this.#ticking = setInterval(
      incidents.guard('the task worker', () => this.#tick()),
      timings.tickMs,
    );
    this.#ticking.unref();
  }

  setPaused(isPaused: boolean): void {
    if (this.#closed !== null) return;
    this.#isPaused = isPaused;
    this.#apply(this.#bull.worker);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#ticking);
    const { worker, connection } = this.#bull;
    this.#isPaused = true;
    this.#apply(worker);
    await this.#options.running.close();
    await this.#closeWorker(worker, connection, false);
  }

  #start(): { worker: Worker; connection: Redis } {
    const { pipeline, queue, concurrency, address, timings, policy, notices, incidents } = this.#options;
    const onError = incidents.guard('the task worker', (error: unknown) => {
      // Malformed JSON in fields that BullMQ itself wrote beside the data of a task: settings, progress.
      if (error instanceof SyntaxError)
        return incidents.refuse('redis-record', 'json', () => `a task of pipeline "${pipeline}": ${error.message}`);
      // Every connection reports an unreachable Redis repeatedly; one notice is enough.
      if (!this.#isUnreachable) notices.add(`worker of pipeline "${pipeline}": ${failureText(error)}`);
    });
    const connection = new Redis({
      ...redisOptions(address, SOCKET_TIMEOUT_MS),
      lazyConnect: false,
      // BullMQ requires both: its commands wait for the connection. Commands in flight are not sent twice.
      enableOfflineQueue: true,
      maxRetriesPerRequest: null,
    });
    connection.on('error', onError);
    const worker = new TolerantWorker(queue.name, (job) => this.#process(job), {
      connection,
      prefix: queue.prefix,
      concurrency,
      lockDuration: timings.lockMs,
      stalledInterval: timings.stalledMs,
      // A stall is rarely the task's fault; `TaskRun` stops a task that kills one host after another.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      drainDelay: POLL_SECONDS,
      runRetryDelay: RETRY_MS,
      // The job's record counts completed tasks. Failed ones stay until they are retried or the job is removed: if BullMQ
      // removed one by itself, it would start the merge without that segment.
      removeOnComplete: { count: 0 },
      settings: { backoffStrategy: (attempts) => retryDelayMs(attempts, policy) },
    });
    worker.on('error', onError);
    this.#apply(worker);
    return { worker, connection };
  }

  #apply(worker: Worker): void {
    this.#options.incidents.run('the task worker', () => {
      if (this.#isPaused) return worker.pause(true);
      return worker.isPaused() ? worker.resume() : undefined;
    });
  }

  /** @throws WaitingError if BullMQ must leave the task alone, UnrecoverableError if it failed permanently. */
  async #process(job: Job): Promise<void> {
    this.#taken += 1;
    // A worker that takes no tasks may still be handed one.
    const isUnwanted = this.#isPaused || this.#closed !== null;
    const end = isUnwanted ? ({ kind: 'returned' } as const) : await this.#run(job);
    if (end.kind === 'failed') throw new Error(end.reason);
    if (end.kind === 'dead') throw new UnrecoverableError(end.reason);
    if (end.kind === 'returned') await this.#returnToQueue(job);
    if (end.kind !== 'completed') throw new WaitingError();
  }

  #run(job: Job): Promise<TaskEnd> {
    const id = job.id ?? '';
    return this.#options.running.run({
      id,
      data: job.data as unknown,
      attempt: job.attemptsMade + 1,
      mostAttempts: job.opts.attempts ?? 1,
      stalls: job.stalledCounter,
      lock: this.#options.lockOf(id, job.token ?? ''),
    });
  }

  async #tick(): Promise<void> {
    if (this.#isTicking) return;
    this.#isTicking = true;
    try {
      await this.#syncTasks();
    } catch (error) {
      this.#watch.reset();
      if (!this.#isUnreachable) this.#options.notices.add(failureText(error));
      this.#isUnreachable = true;
    } finally {
      this.#isTicking = false;
    }
  }

  async #syncTasks(): Promise<void> {
    const { running, concurrency, tick } = this.#options;
    const [ready] = await Promise.all([tick(), running.tick()]);
    this.#isUnreachable = false;
    const hasRoom = !this.#isPaused && running.size < concurrency;
    if (this.#closed === null && this.#watch.isStuck(monoNowMs(), { ready, hasRoom, taken: this.#taken }))
      this.#replace();
  }

  #replace(): void {
    const { pipeline, notices, running } = this.#options;
    const { worker, connection } = this.#bull;
    notices.add(`worker of pipeline "${pipeline}": took no task although some wait; replaced`);
    running.stop('lost');
    this.#watch.reset();
    this.#bull = this.#start();
    void this.#closeWorker(worker, connection, true);
  }

  /** A worker that does not close within 2 s is abandoned and its connection dropped. */
  async #closeWorker(worker: Worker, connection: Redis, isForced: boolean): Promise<void> {
    await settlesWithin(
      worker.close(isForced).catch(() => undefined),
      CLOSE_TIMEOUT_MS,
    );
    connection.disconnect();
  }

  /** If Redis does not answer, the lock expires and another worker takes the task. */
  async #returnToQueue(job: Job): Promise<void> {
    const moved = job.moveToWait(job.token).catch(() => undefined);
    await settlesWithin(moved, CLOSE_TIMEOUT_MS);
  }
}

/** State of a worker at one moment. */
interface WorkerSample {
  /** Tasks that could be taken now. */
  readonly ready: number;
  /** The worker may take a task: it is not paused and runs fewer than `concurrency`. */
  readonly hasRoom: boolean;
  /** Tasks taken since the start. */
  readonly taken: number;
}

/**
 * Detects a worker that takes no tasks although it could. After Redis was unreachable, a BullMQ worker can stay stuck
 * forever while all its connections look healthy.
 */
export class WorkerWatch {
  readonly #timeoutMs: number;
  #idleSinceMs: number | null = null;
  #taken = 0;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** @returns whether the worker must be replaced. */
  isStuck(nowMs: number, { ready, hasRoom, taken }: WorkerSample): boolean {
    if (ready === 0 || !hasRoom || taken !== this.#taken) this.#idleSinceMs = null;
    else this.#idleSinceMs ??= nowMs;
    this.#taken = taken;
    return this.#idleSinceMs !== null && nowMs - this.#idleSinceMs >= this.#timeoutMs;
  }

  /** Restarts the idle time: Redis did not answer, or the worker was replaced. */
  reset(): void {
    this.#idleSinceMs = null;
  }
}
