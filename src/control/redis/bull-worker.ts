import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, type JobJson, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { monoNowMs } from '../../core/clock.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { Incidents } from '../../flow/incidents.ts';
import { settlesWithin } from '../../flow/settles-within.ts';
import type { TaskHandler, TaskWorker } from '../control-plane.ts';
import type { Notices } from '../notices.ts';
import type { FleetSigner } from '../store/fleet-signer.ts';
import { retryDelayMs, type TaskPolicy } from '../tasks/task-policy.ts';
import type { BullQueues } from './bull-queues.ts';
import { redisOptions } from './connect.ts';
import type { JobRecords } from './job-records.ts';
import type { OrderCache } from './order-cache.ts';
import type { RedisAddress } from './redis-address.ts';
import { failureText } from './redis-failure.ts';
import { TaskRun, type WorkerContext } from './task-run.ts';
import { WorkerWatch } from './worker-watch.ts';

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
  readonly concurrency: number;
  readonly handler: TaskHandler;
  readonly records: JobRecords;
  readonly queues: BullQueues;
  readonly orders: OrderCache;
  readonly address: RedisAddress;
  readonly policy: TaskPolicy;
  readonly timings: WorkerTimings;
  readonly notices: Notices;
  readonly incidents: Incidents;
  readonly signer: FleetSigner | null;
  /** Called when the worker is closed. */
  readonly onClosed: () => void;
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
  readonly #context: WorkerContext;
  readonly #runs = new Set<TaskRun>();
  readonly #ended = new Set<Promise<void>>();
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
    if (!(options.concurrency >= 1))
      throw new RangeError(`concurrency: expected 1 or more, received ${options.concurrency}`);
    this.#options = options;
    const { records, queues, orders, handler, timings, notices, incidents } = options;
    this.#context = {
      queueKeys: queues.keysOf(options.pipeline),
      records,
      queues,
      orders,
      handler,
      retryUntilReachable: (call) => this.#retryUntilReachable(call),
      isPausedOrClosed: () => this.#isPaused || this.#closed !== null,
      returnToQueue: (job) => this.#returnToQueue(job),
      notice: (text) => notices.add(text),
      isSigned: (id, data) => options.signer === null || options.signer.check(`task:${id}`, data) !== 'invalid',
      refuse: (kind, reason) => incidents.refuse('redis-record', kind, () => reason),
    };
    this.#watch = new WorkerWatch(timings.deafMs);
    this.#bull = this.#start();
    this.#ticking = setInterval(
      incidents.guard('the task worker', () => this.#tick()),
      timings.tickMs,
    );
    this.#ticking.unref();
  }

  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#apply(this.#bull.worker);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close().finally(this.#options.onClosed);
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#ticking);
    const { worker, connection } = this.#bull;
    this.#isPaused = true;
    this.#apply(worker);
    for (const run of this.#runs) run.stop('closing');
    await Promise.all(this.#ended);
    await this.#closeWorker(worker, connection, false);
  }

  #start(): { worker: Worker; connection: Redis } {
    const { pipeline, concurrency, queues, address, timings, policy, notices, incidents } = this.#options;
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
    const worker = new TolerantWorker(queues.nameOf(pipeline), (job) => this.#process(job), {
      connection,
      prefix: queues.bullPrefix,
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

  async #process(job: Job): Promise<void> {
    this.#taken += 1;
    const run = new TaskRun(job, this.#context);
    this.#runs.add(run);
    const ended = run.run();
    const settled = ended.catch(() => undefined);
    this.#ended.add(settled);
    try {
      await ended;
    } finally {
      this.#runs.delete(run);
      this.#ended.delete(settled);
    }
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
    const { records, queues, pipeline, concurrency, timings } = this.#options;
    const running = [...this.#runs].flatMap((run) => {
      const ticked = run.tick();
      return ticked === null ? [] : [{ run, ticked }];
    });
    const { ready, verdicts } = await records.tick(
      queues.keysOf(pipeline),
      timings,
      running.map(({ ticked }) => ticked),
    );
    this.#isUnreachable = false;
    for (const [i, { run }] of running.entries()) {
      const verdict = verdicts[i];
      if (verdict === 'lost' || verdict === 'cancelled') run.stop(verdict);
    }
    const hasRoom = !this.#isPaused && this.#runs.size < concurrency;
    if (this.#closed === null && this.#watch.isStuck(monoNowMs(), { ready, hasRoom, taken: this.#taken }))
      this.#replace();
  }

  #replace(): void {
    const { pipeline, notices } = this.#options;
    const { worker, connection } = this.#bull;
    notices.add(`worker of pipeline "${pipeline}": took no task although some wait; replaced`);
    for (const run of this.#runs) run.stop('lost');
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

  async #retryUntilReachable<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const isUnreachable = error instanceof SightlineError && error.code === 'CONTROL_UNREACHABLE';
        if (!isUnreachable || this.#closed !== null) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  /** If Redis does not answer, the lock expires and another worker takes the task. */
  async #returnToQueue(job: Job): Promise<void> {
    const moved = job.moveToWait(job.token).catch(() => undefined);
    await settlesWithin(moved, CLOSE_TIMEOUT_MS);
  }
}
