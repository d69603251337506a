import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { monoNowMs } from '../../core/clock.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { Incidents } from '../../telemetry/incidents.ts';
import type { TaskHandler, TaskWorker } from '../control-plane.ts';
import type { Notices } from '../notices.ts';
import { retryDelayMs, type TaskPolicy } from '../tasks/task-policy.ts';
import type { BullQueues } from './bull-queues.ts';
import { redisOptions } from './connect.ts';
import type { JobRecords } from './job-records.ts';
import type { OrderCache } from './order-cache.ts';
import type { RedisAddress } from './redis-address.ts';
import { failureText } from './redis-failure.ts';
import { TaskRun, type WorkerContext } from './task-run.ts';
import { WorkerWatch } from './worker-watch.ts';

/** How soon things are noticed. */
export interface WorkerTimings {
  /** A worker that is not heard of for this long loses its tasks ... */
  readonly lockMs: number;
  /** ... to the next that looks for such tasks. */
  readonly stalledMs: number;
  /** Time between two ticks, which tell progress and hear of cancelled and lost tasks. */
  readonly tickMs: number;
  /** A worker that takes nothing for this long, although it could, is replaced. */
  readonly deafMs: number;
}

/** A killed host's tasks are taken up after at most lockMs + stalledMs. */
export const DEFAULT_TIMINGS: WorkerTimings = { lockMs: 6_000, stalledMs: 2_500, tickMs: 1_000, deafMs: 10_000 };

/** Longer than the queue's longest blocking wait for a task, 10 s, after which it looks after its connection itself. */
const SILENCE_MS = 15_000;
/** An idle worker looks so often for tasks that came without a call. */
const LOOK_SECONDS = 1;
const INSIST_MS = 300;
const PARTING_MS = 2_000;

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
}

/** Does tasks of one pipeline out of its BullMQ queue, and replaces BullMQ's worker when that goes deaf. */
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
  #isAway = false;
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
      insist: (call) => this.#insist(call),
      isShut: () => this.#isPaused || this.#closed !== null,
      giveBack: (job) => this.#giveBack(job),
      notice: (text) => notices.add(text),
      refuse: (reason) => incidents.refuse('redis-record', 'schema', () => reason),
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
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#ticking);
    const { worker, connection } = this.#bull;
    this.#isPaused = true;
    this.#apply(worker);
    for (const run of this.#runs) run.stop('closing');
    await Promise.all(this.#ended);
    await this.#part(worker, connection, false);
  }

  #start(): { worker: Worker; connection: Redis } {
    const { pipeline, concurrency, queues, address, timings, policy, notices, incidents } = this.#options;
    const onError = incidents.guard('the task worker', (error: unknown) => {
      // While Redis is away, every connection says so, again and again.
      if (!this.#isAway) notices.add(`worker of pipeline "${pipeline}": ${failureText(error)}`);
    });
    const connection = new Redis({
      ...redisOptions(address, SILENCE_MS),
      lazyConnect: false,
      // As the queue's library wants it: its commands wait for the connection. One that was under way is not sent twice.
      enableOfflineQueue: true,
      maxRetriesPerRequest: null,
    });
    connection.on('error', onError);
    const worker = new Worker(queues.nameOf(pipeline), (job) => this.#process(job), {
      connection,
      prefix: queues.bullPrefix,
      concurrency,
      lockDuration: timings.lockMs,
      stalledInterval: timings.stalledMs,
      // Not the task's fault; what kills host after host is found by `TaskRun`.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      drainDelay: LOOK_SECONDS,
      runRetryDelay: INSIST_MS,
      // Their job's record knows that they are done. Failed ones stay until they are tried again or their job is forgotten:
      // one that the queue dropped by itself would let a merge go without its segment.
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
      await this.#look();
    } catch (error) {
      this.#watch.reset();
      if (!this.#isAway) this.#options.notices.add(failureText(error));
      this.#isAway = true;
    } finally {
      this.#isTicking = false;
    }
  }

  async #look(): Promise<void> {
    const { records, queues, pipeline, concurrency } = this.#options;
    const asked = [...this.#runs].flatMap((run) => {
      const ticked = run.tick();
      return ticked === null ? [] : [{ run, ticked }];
    });
    const { ready, verdicts } = await records.tick(
      queues.keysOf(pipeline),
      asked.map(({ ticked }) => ticked),
    );
    this.#isAway = false;
    for (const [i, { run }] of asked.entries()) {
      const verdict = verdicts[i];
      if (verdict === 'lost' || verdict === 'cancelled') run.stop(verdict);
    }
    const hasRoom = !this.#isPaused && this.#runs.size < concurrency;
    if (this.#closed === null && this.#watch.isDeaf(monoNowMs(), { ready, hasRoom, taken: this.#taken }))
      this.#replace();
  }

  #replace(): void {
    const { pipeline, notices } = this.#options;
    const { worker, connection } = this.#bull;
    notices.add(`worker of pipeline "${pipeline}": took no task although some wait; replaced`);
    for (const run of this.#runs) run.stop('lost');
    this.#watch.reset();
    this.#bull = this.#start();
    void this.#part(worker, connection, true);
  }

  /** A worker that cannot say farewell is left behind with its connection cut. */
  async #part(worker: Worker, connection: Redis, isForced: boolean): Promise<void> {
    await Promise.race([worker.close(isForced).catch(() => undefined), sleep(PARTING_MS)]);
    connection.disconnect();
  }

  async #insist<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const isAway = error instanceof SightlineError && error.code === 'CONTROL_UNREACHABLE';
        if (!isAway || this.#closed !== null) throw error;
        await sleep(INSIST_MS);
      }
    }
  }

  /** Where Redis does not answer, the lock runs out and another worker takes the task. */
  async #giveBack(job: Job): Promise<void> {
    const given = job.moveToWait(job.token).catch(() => undefined);
    await Promise.race([given, sleep(PARTING_MS)]);
  }
}
