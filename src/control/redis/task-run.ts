import { type Job, UnrecoverableError, WaitingError } from 'bullmq';
import { SightlineError } from '../../errors/sightline-error.ts';
import { type DeadLetter, type JobOrder, type Task, task } from '../../protocol/fleet.ts';
import type { TaskHandler, TaskOutcome } from '../control-plane.ts';
import { followUp } from '../tasks/follow-up.ts';
import { taskFailure } from '../tasks/task-failure.ts';
import { parseTaskId, type TaskName } from '../tasks/task-id.ts';
import type { BullQueues } from './bull-queues.ts';
import type { JobRecords, TaskLock, TaskRefusal, TickedTask } from './job-records.ts';
import type { OrderCache } from './order-cache.ts';

/** Hosts that may die or freeze over one task before it is suspected of killing them. */
const MOST_STALLS = 20;

/** What the tasks of a worker share. */
export interface WorkerContext {
  /** What all keys of the queue begin with. */
  readonly queueKeys: string;
  readonly records: JobRecords;
  readonly queues: BullQueues;
  readonly orders: OrderCache;
  readonly handler: TaskHandler;
  /** Calls until Redis answers, or until the worker closes. */
  insist<T>(call: () => Promise<T>): Promise<T>;
  /** Takes no tasks now: what comes nevertheless is given back. */
  isShut(): boolean;
  /** Puts a task back to where it was taken from; its attempt does not count. */
  giveBack(job: Job): Promise<void>;
  notice(text: string): void;
  /** Counts a task that is none. */
  refuse(reason: string): void;
}

export type StopReason = 'lost' | 'cancelled' | 'closing';

/** One task in the hands of this worker, from the moment it is taken until the queue is told what became of it. */
export class TaskRun {
  readonly #job: Job;
  readonly #id: string;
  readonly #lock: TaskLock;
  readonly #context: WorkerContext;
  readonly #abort = new AbortController();
  #task: Task | null = null;
  #stopped: StopReason | null = null;
  #frames = 0;
  #toldFrames = 0;
  /** From here on its frames are counted, or nobody's. */
  #isEnding = false;

  /** @param job - taken, with the token of its lock. */
  constructor(job: Job, context: WorkerContext) {
    this.#job = job;
    this.#id = job.id ?? '';
    this.#lock = { queueKeys: context.queueKeys, taskId: this.#id, token: job.token ?? '' };
    this.#context = context;
  }

  /** What a tick has to tell and ask; null before the handler has the task. */
  tick(): TickedTask | null {
    if (this.#task === null) return null;
    const frames = this.#isEnding || this.#frames === this.#toldFrames ? null : this.#frames;
    this.#toldFrames = this.#frames;
    return { jobId: this.#task.jobId, lock: this.#lock, frames };
  }

  stop(reason: StopReason): void {
    this.#stopped ??= reason;
    this.#abort.abort();
  }

  /**
   * Resolves where the queue is to take the task as done.
   *
   * @throws WaitingError where the task is not this worker's any more, UnrecoverableError where it is dead; any other error
   * has it tried again.
   */
  async run(): Promise<void> {
    if (this.#context.isShut()) await this.#giveBack();
    const parsed = task.safeParse(this.#job.data);
    if (!parsed.success) return this.#addMalformed(parsed.error.issues[0]!);
    const begun = await this.#context.insist(() => this.#context.records.begin(parsed.data, this.#lock));
    if (begun.verdict === 'done') return;
    if (begun.verdict !== 'run') return this.#leave(begun.verdict);
    this.#task = parsed.data;
    await this.#handle(parsed.data, begun.digest);
  }

  async #handle(task: Task, digest: string): Promise<void> {
    try {
      const order = await this.#context.insist(() => this.#context.orders.get(task.jobId, digest));
      if (this.#job.stalledCounter > MOST_STALLS) throw this.#suspicion();
      const outcome = await this.#context.handler(task, order, {
        signal: this.#abort.signal,
        progress: (frames) => {
          this.#frames = frames;
        },
      });
      const refusal = await this.#complete(task, order, outcome);
      if (refusal !== 'ok') return this.#leave(refusal);
    } catch (error) {
      if (error instanceof WaitingError) throw error;
      if (this.#stopped === 'closing') await this.#giveBack();
      if (this.#stopped !== null) return this.#leave(this.#stopped === 'cancelled' ? 'cancelled' : 'lost');
      await this.#fail(task, error);
    }
  }

  async #complete(task: Task, order: JobOrder, outcome: TaskOutcome): Promise<TaskRefusal | 'ok'> {
    const { records, queues, insist } = this.#context;
    this.#isEnding = true;
    const next = followUp(task, outcome);
    const segments = next?.segments.length ?? null;
    if (next !== null) {
      const refusal = await insist(() => records.plan(task, this.#lock, next.segments.length));
      if (refusal !== 'ok') return refusal;
      await insist(() => queues.addFollowUp(task, next, order));
    }
    return insist(() => records.finish(task, this.#lock, outcome.frames, segments));
  }

  async #fail(task: Task, error: unknown): Promise<void> {
    const { reason, isRetryable } = taskFailure(error);
    if (isRetryable && this.#attempts < (this.#job.opts.attempts ?? 1)) throw new Error(reason);
    await this.#addDeadLetter(task, reason);
  }

  /** Attempts so far, with this one. */
  get #attempts(): number {
    return this.#job.attemptsMade + 1;
  }

  /** What is not a task at all is told of its job where its name says which; else nobody has use for it. */
  async #addMalformed({ path, message }: { path: PropertyKey[]; message: string }): Promise<void> {
    const where = path.join('.') || 'data';
    const reason = `PROTOCOL_INVALID: task ${this.#id}: ${where}: ${message}; another program or version wrote it`;
    const name = parseTaskId(this.#id);
    this.#context.refuse(name === null ? `${reason}; dropped` : reason);
    if (name !== null) await this.#addDeadLetter(name, reason);
  }

  /** The letter is written before the queue lets go: a crash in between has the task done again, and loses nothing. */
  async #addDeadLetter({ jobId, kind, file }: TaskName, reason: string): Promise<void> {
    const { records, insist } = this.#context;
    const input = await insist(() => records.input(jobId, file));
    const end = { attempts: this.#attempts, failedMs: Date.now() };
    const letter: DeadLetter = { taskId: this.#id, jobId, kind, input, reason, ...end };
    const answer = await insist(() => records.addDeadLetter(letter, this.#lock));
    if (answer !== 'ok') return this.#leave(answer);
    throw new UnrecoverableError(reason);
  }

  #suspicion(): SightlineError {
    return new SightlineError(
      'INTERNAL_ERROR',
      `${this.#job.stalledCounter} hosts died or froze over task ${this.#id}; try its file on one host alone and read its log`,
    );
  }

  /** Cancelled tasks end as if they were done; one that another worker has is left to it. */
  #leave(refusal: TaskRefusal): void {
    if (refusal === 'lost') throw new WaitingError();
    if (refusal === 'unknown') this.#context.notice(`task ${this.#id}: its job is not known any more; dropped`);
  }

  async #giveBack(): Promise<never> {
    await this.#context.giveBack(this.#job);
    throw new WaitingError();
  }
}
