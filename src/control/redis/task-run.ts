import { type Job, UnrecoverableError, WaitingError } from 'bullmq';
import { SightlineError } from '../../errors/sightline-error.ts';
import { type DeadLetter, type JobOrder, type Task, task } from '../../protocol/fleet.ts';
import type { TaskHandler, TaskOutcome } from '../control-plane.ts';
import { followUp } from '../tasks/follow-up.ts';
import { countedFrames, splitCompletion } from '../tasks/job-accounting.ts';
import { taskFailure } from '../tasks/task-failure.ts';
import { parseTaskId, type TaskName } from '../tasks/task-id.ts';
import type { BullQueues } from './bull-queues.ts';
import type { JobRecords, TaskLock, TaskRefusal, TickedTask } from './job-records.ts';
import type { OrderCache } from './order-cache.ts';

/** Hosts that may die or freeze while running a task before the task counts as the cause. */
const MAX_STALLS = 20;

/** What all tasks of a worker share. */
export interface WorkerContext {
  /** Prefix of all keys of the queue. */
  readonly queueKeys: string;
  readonly records: JobRecords;
  readonly queues: BullQueues;
  readonly orders: OrderCache;
  readonly handler: TaskHandler;
  /** Repeats a call until Redis answers or the worker closes. */
  retryUntilReachable<T>(call: () => Promise<T>): Promise<T>;
  /** True while the worker takes no tasks; one that BullMQ hands over anyway is returned to the queue. */
  isPausedOrClosed(): boolean;
  /** Returns a task to its place in the queue; its attempt does not count. */
  returnToQueue(job: Job): Promise<void>;
  notice(text: string): void;
  /** Returns whether the data of a task is signed with a key of the fleet. */
  isSigned(id: string, data: unknown): boolean;
  /** Counts a task that is malformed or not signed. */
  refuse(kind: 'json' | 'schema' | 'signature', reason: string): void;
}

export type StopReason = 'lost' | 'cancelled' | 'closing';

/** Runs one task, from the moment this worker takes it until its result is in the queue. */
export class TaskRun {
  readonly #job: Job;
  readonly #id: string;
  readonly #lock: TaskLock;
  readonly #context: WorkerContext;
  readonly #abort = new AbortController();
  #task: Task | null = null;
  #stopped: StopReason | null = null;
  #frames = 0;
  #reportedFrames = 0;
  /** Set when the result is being stored. The frames are counted or dropped by that, so no progress is reported any more. */
  #isEnding = false;

  /** @param job - taken from the queue, with the token of its lock. */
  constructor(job: Job, context: WorkerContext) {
    this.#job = job;
    this.#id = job.id ?? '';
    this.#lock = { queueKeys: context.queueKeys, taskId: this.#id, token: job.token ?? '' };
    this.#context = context;
  }

  /** Returns the task's progress for a tick; null before the task has begun. */
  tick(): TickedTask | null {
    if (this.#task === null) return null;
    const frames = this.#isEnding || this.#frames === this.#reportedFrames ? null : this.#frames;
    this.#reportedFrames = this.#frames;
    return { jobId: this.#task.jobId, lock: this.#lock, frames };
  }

  stop(reason: StopReason): void {
    this.#stopped ??= reason;
    this.#abort.abort();
  }

  /**
   * Resolves if the queue should mark the task as completed.
   *
   * @throws WaitingError if this worker no longer has the task, UnrecoverableError if it failed permanently. BullMQ retries
   * the task after any other error.
   */
  async run(): Promise<void> {
    if (this.#context.isPausedOrClosed()) await this.#returnToQueue();
    if (this.#job.data === undefined) return this.#addMalformed({ path: [], message: 'expected JSON' }, 'json');
    const parsed = task.safeParse(this.#job.data);
    if (!parsed.success) return this.#addMalformed(parsed.error.issues[0]!);
    if (!this.#context.isSigned(this.#id, this.#job.data))
      return this.#addMalformed({ path: [], message: 'expected a signature with a key of this fleet' }, 'signature');
    const begun = await this.#context.retryUntilReachable(() => this.#context.records.begin(parsed.data, this.#lock));
    if (begun.verdict === 'done') return;
    if (begun.verdict !== 'run') return this.#leave(begun.verdict);
    this.#task = parsed.data;
    await this.#handle(parsed.data, begun.digest);
  }

  async #handle(task: Task, digest: string): Promise<void> {
    try {
      const order = await this.#context.retryUntilReachable(() => this.#context.orders.get(task.jobId, digest));
      if (this.#job.stalledCounter > MAX_STALLS) throw this.#tooManyStalls();
      const outcome = await this.#context.handler(task, order, {
        signal: this.#abort.signal,
        progress: (frames) => {
          this.#frames = countedFrames(task.kind, frames);
        },
      });
      const refusal = await this.#complete(task, order, outcome);
      if (refusal !== 'ok') return this.#leave(refusal);
    } catch (error) {
      if (error instanceof WaitingError) throw error;
      if (this.#stopped === 'closing') await this.#returnToQueue();
      if (this.#stopped !== null) return this.#leave(this.#stopped === 'cancelled' ? 'cancelled' : 'lost');
      await this.#fail(task, error);
    }
  }

  async #complete(task: Task, order: JobOrder, outcome: TaskOutcome): Promise<TaskRefusal | 'ok'> {
    const { records, queues, retryUntilReachable } = this.#context;
    this.#isEnding = true;
    const next = followUp(task, outcome);
    if (next !== null) {
      const refusal = await retryUntilReachable(() => records.plan(task, this.#lock, next.segments.length));
      if (refusal !== 'ok') return refusal;
      await retryUntilReachable(() => queues.addFollowUp(task, next, order));
    }
    const completion = task.kind === 'split' ? splitCompletion(next?.segments.length ?? null) : task.kind;
    return retryUntilReachable(() => records.finish(task, this.#lock, completion, outcome.frames));
  }

  async #fail(task: Task, error: unknown): Promise<void> {
    const { reason, isRetryable } = taskFailure(error);
    if (isRetryable && this.#attempts < (this.#job.opts.attempts ?? 1)) throw new Error(reason);
    await this.#addDeadLetter(task, reason);
  }

  /** Attempts so far, including this one. */
  get #attempts(): number {
    return this.#job.attemptsMade + 1;
  }

  /** Reports a malformed task to its job if its name contains the job id; otherwise discards it. */
  async #addMalformed(
    { path, message }: { path: PropertyKey[]; message: string },
    refusal: 'json' | 'schema' | 'signature' = 'schema',
  ): Promise<void> {
    const where = path.join('.') || 'data';
    const reason = `PROTOCOL_INVALID: task ${this.#id}: ${where}: ${message}; another program or version wrote it`;
    const name = parseTaskId(this.#id);
    this.#context.refuse(refusal, name === null ? `${reason}; discarded` : reason);
    if (name !== null) await this.#addDeadLetter(name, reason);
  }

  /** Writes the dead letter before BullMQ marks the task as failed: after a crash in between, the task just runs again. */
  async #addDeadLetter({ jobId, kind, file }: TaskName, reason: string): Promise<void> {
    const { records, retryUntilReachable } = this.#context;
    this.#isEnding = true;
    const input = await retryUntilReachable(() => records.input(jobId, file));
    const end = { attempts: this.#attempts, failedMs: Date.now() };
    const letter: DeadLetter = { taskId: this.#id, jobId, kind, input, reason, ...end };
    const answer = await retryUntilReachable(() => records.addDeadLetter(letter, this.#lock));
    if (answer !== 'ok') return this.#leave(answer);
    throw new UnrecoverableError(reason);
  }

  #tooManyStalls(): SightlineError {
    return new SightlineError(
      'INTERNAL_ERROR',
      `${this.#job.stalledCounter} hosts died or froze while running task ${this.#id}; try its file on one host alone and read its log`,
    );
  }

  /** A cancelled task ends as completed; a lost one is left to the worker that has it. */
  #leave(refusal: TaskRefusal): void {
    if (refusal === 'lost') throw new WaitingError();
    if (refusal === 'unknown') this.#context.notice(`task ${this.#id}: its job no longer exists; discarded`);
  }

  async #returnToQueue(): Promise<never> {
    await this.#context.returnToQueue(this.#job);
    throw new WaitingError();
  }
}
