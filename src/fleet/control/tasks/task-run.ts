import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { type JobOrder, type Task, task } from '../../../wire/protocol/fleet.ts';
import type { TaskHandler, TaskOutcome } from '../control-plane.ts';
import { type FollowUp, followUp } from './follow-up.ts';
import { countedFrames, splitCompletion } from './job-accounting.ts';
import type { JobRecords, TaskLock, TaskRefusal, TickedTask } from './job-records.ts';
import type { OrderCache } from './order-cache.ts';
import { parseTaskId, type TaskName } from './task-id.ts';

/** Hosts that may die or freeze while running a task before the task counts as the cause. */
const MAX_STALLS = 20;
const MAX_REASON_CHARS = 1_000;

/** A task that a worker has taken from the queue. */
export interface Delivery {
  readonly id: string;
  /** As another program may have written it; `undefined` if it is not JSON. */
  readonly data: unknown;
  /** Attempts so far, including this one. */
  readonly attempt: number;
  readonly mostAttempts: number;
  /** How many workers lost it. */
  readonly stalls: number;
  readonly lock: TaskLock;
}

/**
 * What the queue must do with a task that has ended. lost: nothing, this worker no longer has it. returned: put it back, its attempt
 * does not count. dead: keep it until it is retried.
 */
export type TaskEnd =
  | { readonly kind: 'completed' | 'lost' | 'returned' }
  | { readonly kind: 'failed' | 'dead'; readonly reason: string };

/** What all tasks of a worker share. */
export interface WorkerContext {
  readonly records: JobRecords;
  /** Queues the tasks that follow a split, see `TaskBroker`. */
  addFollowUp(split: Task, next: FollowUp, order: JobOrder): Promise<void>;
  readonly orders: OrderCache;
  readonly handler: TaskHandler;
  /** Repeats a call until the control plane answers or the worker closes. */
  retryUntilReachable<T>(call: () => Promise<T>): Promise<T>;
  notice(text: string): void;
  /** Returns whether the data of a task is signed with a key of the fleet. */
  isSigned(id: string, data: unknown): boolean;
  /** Counts a task that is malformed or not signed. */
  refuse(kind: 'json' | 'schema' | 'signature', reason: string): void;
}

export type StopReason = 'lost' | 'cancelled' | 'closing';

/** Runs one task, from the moment this worker takes it until its result is recorded. */
export class TaskRun {
  readonly #delivery: Delivery;
  readonly #context: WorkerContext;
  readonly #abort = new AbortController();
  #task: Task | null = null;
  #stopped: StopReason | null = null;
  #frames = 0;
  #reportedFrames = 0;
  /** Set when the result is being stored. The frames are counted or dropped by that, so no progress is reported any more. */
  #isEnding = false;

  constructor(delivery: Delivery, context: WorkerContext) {
    this.#delivery = delivery;
    this.#context = context;
  }

  /** Returns the task's progress for a tick; null before the task has begun. */
  tick(): TickedTask | null {
    if (this.#task === null) return null;
    const frames = this.#isEnding || this.#frames === this.#reportedFrames ? null : this.#frames;
    this.#reportedFrames = this.#frames;
    return { task: this.#task, lock: this.#delivery.lock, frames };
  }

  stop(reason: StopReason): void {
    this.#stopped ??= reason;
    this.#abort.abort();
  }

  /** Never rejects, except while the control plane cannot be reached and the worker closes. */
  async run(): Promise<TaskEnd> {
    const { id, data, lock } = this.#delivery;
    if (data === undefined) return this.#addMalformed('json', [], 'expected JSON');
    const parsed = task.safeParse(data);
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!;
      return this.#addMalformed('schema', path, message);
    }
    if (!this.#context.isSigned(id, data))
      return this.#addMalformed('signature', [], 'expected a signature with a key of this fleet');
    const begun = await this.#context.retryUntilReachable(() => this.#context.records.begin(parsed.data, lock));
    if (begun.verdict === 'done') return { kind: 'completed' };
    if (begun.verdict !== 'run') return this.#leave(begun.verdict);
    this.#task = parsed.data;
    return this.#handle(parsed.data, begun.digest);
  }

  async #handle(task: Task, digest: string): Promise<TaskEnd> {
    try {
      const order = await this.#context.retryUntilReachable(() => this.#context.orders.get(task.jobId, digest));
      if (this.#delivery.stalls > MAX_STALLS) throw this.#tooManyStalls();
      const outcome = await this.#context.handler(task, order, {
        signal: this.#abort.signal,
        progress: (frames) => {
          this.#frames = countedFrames(task.kind, frames);
        },
      });
      const refusal = await this.#complete(task, order, outcome);
      return refusal === 'ok' ? { kind: 'completed' } : this.#leave(refusal);
    } catch (error) {
      if (this.#stopped === 'closing') return { kind: 'returned' };
      if (this.#stopped !== null) return this.#leave(this.#stopped);
      // Says nothing about the task: one idle host could use up all its attempts while those that can run it are busy.
      if (error instanceof SightlineError && error.code === 'HOST_UNFIT') return { kind: 'returned' };
      const { reason, isRetryable } = taskFailure(error);
      if (isRetryable && this.#delivery.attempt < this.#delivery.mostAttempts) return { kind: 'failed', reason };
      return this.#addDeadLetter(task, reason);
    }
  }

  async #complete(task: Task, order: JobOrder, outcome: TaskOutcome): Promise<TaskRefusal | 'ok'> {
    const { records, addFollowUp, retryUntilReachable } = this.#context;
    const { lock } = this.#delivery;
    this.#isEnding = true;
    const next = followUp(task, outcome);
    if (next !== null) {
      const refusal = await retryUntilReachable(() => records.plan(task, lock, next.segments.length));
      if (refusal !== 'ok') return refusal;
      await retryUntilReachable(() => addFollowUp(task, next, order));
    }
    const completion = task.kind === 'split' ? splitCompletion(next?.segments.length ?? null) : task.kind;
    return retryUntilReachable(() => records.finish(task, lock, completion, outcome.frames));
  }

  /** Reports a malformed task to its job if its name contains the job id; otherwise discards it. */
  async #addMalformed(
    refusal: 'json' | 'schema' | 'signature',
    path: readonly PropertyKey[],
    message: string,
  ): Promise<TaskEnd> {
    const { id } = this.#delivery;
    const where = path.join('.') || 'data';
    const reason = `PROTOCOL_INVALID: task ${id}: ${where}: ${message}; another program or version wrote it`;
    const name = parseTaskId(id);
    this.#context.refuse(refusal, name === null ? `${reason}; discarded` : reason);
    return name === null ? { kind: 'completed' } : this.#addDeadLetter(name, reason);
  }

  /** Writes the dead letter before the queue marks the task as failed: after a crash in between, the task just runs again. */
  async #addDeadLetter({ jobId, kind, file }: TaskName, reason: string): Promise<TaskEnd> {
    const { records, retryUntilReachable } = this.#context;
    const { id, attempt, lock } = this.#delivery;
    this.#isEnding = true;
    const input = await retryUntilReachable(() => records.input(jobId, file));
    const letter = { taskId: id, jobId, kind, input, reason, attempts: attempt };
    const answer = await retryUntilReachable(() => records.addDeadLetter(letter, lock));
    return answer === 'ok' ? { kind: 'dead', reason } : this.#leave(answer);
  }

  #tooManyStalls(): SightlineError {
    const { id, stalls } = this.#delivery;
    return new SightlineError(
      'INTERNAL_ERROR',
      `${stalls} hosts died or froze while running task ${id}; try its file on one host alone and read its log`,
    );
  }

  /** A cancelled task ends as completed; a lost one is left to the worker that has it. */
  #leave(refusal: TaskRefusal): TaskEnd {
    if (refusal === 'unknown') this.#context.notice(`task ${this.#delivery.id}: its job no longer exists; discarded`);
    return { kind: refusal === 'lost' ? 'lost' : 'completed' };
  }
}

interface TaskFailure {
  readonly reason: string;
  /** Errors without a code can have any cause, so they are retried. */
  readonly isRetryable: boolean;
}

/** Returns the reason to store for an error that ended a task, and whether to retry. */
function taskFailure(error: unknown): TaskFailure {
  const message = error instanceof Error ? error.message : String(error);
  const text = error instanceof SightlineError ? `${error.code}: ${message}` : message;
  return {
    reason:
      text.length > MAX_REASON_CHARS ? `${text.slice(0, MAX_REASON_CHARS)}...` : text || 'failed without a message',
    isRetryable: error instanceof SightlineError ? error.isRetryable : true,
  };
}
