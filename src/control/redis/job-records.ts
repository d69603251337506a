import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { check } from '../../config/check.ts';
import { count, timeMs } from '../../protocol/bounds.ts';
import {
  type DeadLetter,
  deadLetter,
  type JobOrder,
  jobOrder,
  MOST_INPUTS,
  MOST_SEGMENTS,
  type Task,
} from '../../protocol/fleet.ts';
import { complaintOf } from '../../protocol/fleet-bus.ts';
import { jobErrors } from '../tasks/job-errors.ts';
import type { JobFacts } from '../tasks/job-facts.ts';
import { INPUTS_AT_ONCE, orderDigest } from '../tasks/order-digest.ts';
import type { RedisConnection } from './connect.ts';
import type { EntryReader } from './entry-reader.ts';
import { jobScripts } from './job-scripts.ts';

const JOBS_AT_ONCE = 100;
const orderHead = jobOrder.omit({ inputs: true });
const inputList = z.array(z.string());

/** What the job's hash counts. `inputs` is looped over, so it must not be more than a job may have. */
const factCounts = z.object({
  inputs: count.max(MOST_INPUTS),
  splits: count,
  segments: count,
  segmentsDone: count,
  mergeable: count,
  filesDone: count,
  frames: count,
  startedMs: timeMs.nullable(),
  finishedMs: timeMs.nullable(),
  busyMs: timeMs,
  deadLetters: count,
});

/** The right of a worker to a task, as the queue gave it. */
export interface TaskLock {
  /** What all keys of the queue begin with. */
  readonly queueKeys: string;
  readonly taskId: string;
  readonly token: string;
}

/** Why a worker must not go on: another one has the task, its job is cancelled, or nobody knows the job. */
export type TaskRefusal = 'lost' | 'cancelled' | 'unknown';
export type BeginAnswer =
  | { readonly verdict: 'run'; readonly digest: string }
  | { readonly verdict: TaskRefusal | 'done' };

export interface TickedTask {
  readonly jobId: string;
  readonly lock: TaskLock;
  /** Frames done so far; null where that was told already. */
  readonly frames: number | null;
}

/** The records of jobs in Redis: their orders, what is counted of them and their dead letters. The tasks lie in the queue. */
export class JobRecords {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #reader: EntryReader;

  /** @param prefix - of every key, with its hash tag. */
  constructor(connection: RedisConnection, prefix: string, reader: EntryReader) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#reader = reader;
  }

  /**
   * Writes an order down.
   *
   * @returns whether its tasks are still to be put in the queue: it is new, or who submitted it first did not come to the end.
   * @throws JOB_EXISTS where the id stands for another order.
   */
  async open(order: JobOrder): Promise<boolean> {
    const digest = await orderDigest(order);
    const { inputs, ...head } = order;
    const { id, createdMs, pipeline } = order;
    const args = [id, digest, JSON.stringify(head), inputs.length, createdMs, pipeline];
    const answer = (await this.#run('open', args)) as 'new' | 'begun' | 'known' | 'other';
    if (answer === 'other') throw jobErrors.jobExists(id);
    if (answer === 'known') return false;
    for (let at = 0; at < inputs.length; at += INPUTS_AT_ONCE) {
      const chunk = JSON.stringify(inputs.slice(at, at + INPUTS_AT_ONCE));
      await this.#connection.call((client) => client.hset(this.#key(id, 'inputs'), at / INPUTS_AT_ONCE, chunk));
    }
    return true;
  }

  /** All tasks of the job are in the queue. */
  async markQueued(jobId: string): Promise<void> {
    await this.#connection.call((client) => client.hset(this.#key(jobId), 'queued', 1));
  }

  async begin(task: Task, lock: TaskLock): Promise<BeginAnswer> {
    const answer = (await this.#run('begin', taskArgs(task, lock))) as [string, string?];
    const [verdict, digest = ''] = answer as [BeginAnswer['verdict'], string?];
    return verdict === 'run' ? { verdict, digest } : { verdict };
  }

  /** Writes down into how many segments a file is split. @throws SEGMENT_MISMATCH where it was another number before. */
  async plan(task: Task, lock: TaskLock, segments: number): Promise<TaskRefusal | 'ok'> {
    const args = [...lockArgs(task.jobId, lock), task.file, segments];
    const answer = (await this.#run('plan', args)) as TaskRefusal | 'ok' | number;
    if (typeof answer === 'number') throw jobErrors.splitChanged(task.jobId, task.file, answer, segments);
    return answer;
  }

  /**
   * Counts a task as done, once.
   *
   * @param segments - that follow a split; null where nothing follows it, not even a merge.
   */
  async finish(task: Task, lock: TaskLock, frames: number, segments: number | null): Promise<TaskRefusal | 'ok'> {
    const args = [...taskArgs(task, lock), Math.round(frames), segments ?? -1];
    return (await this.#run('finish', args)) as TaskRefusal | 'ok';
  }

  async addDeadLetter(letter: DeadLetter, lock: TaskLock): Promise<TaskRefusal | 'ok'> {
    const args = [...lockArgs(letter.jobId, lock), JSON.stringify(letter)];
    return (await this.#run('addDeadLetter', args)) as TaskRefusal | 'ok';
  }

  /** Takes back dead letters that are tried again, except those that were written anew meanwhile. */
  async requeue(jobId: string, letters: readonly DeadLetter[]): Promise<void> {
    await this.#run('requeue', [jobId, ...letters.flatMap((letter) => [letter.taskId, JSON.stringify(letter)])]);
  }

  /** @returns false where the job is done already. @throws JOB_NOT_FOUND */
  async cancel(jobId: string): Promise<boolean> {
    const answer = (await this.#run('cancel', [jobId])) as 'ok' | 'missing' | 'done';
    if (answer === 'missing') throw jobErrors.jobNotFound(jobId);
    return answer === 'ok';
  }

  /** Tells how far tasks are, and asks which of them are to stop, in one call. */
  async tick(
    queueKeys: string,
    tasks: readonly TickedTask[],
  ): Promise<{ ready: number; verdicts: ('ok' | TaskRefusal)[] }> {
    const args = tasks.flatMap(({ jobId, lock, frames }) => [jobId, lock.taskId, lock.token, frames ?? -1]);
    const [ready, ...verdicts] = (await this.#run('tick', [queueKeys, ...args])) as [number, ...('ok' | TaskRefusal)[]];
    return { ready, verdicts };
  }

  async counts(queueKeys: readonly string[]): Promise<{ waiting: number; active: number; oldestWaitingMs: number }> {
    const [waiting, active, oldestMs] = (await this.#run('counts', queueKeys)) as [number, number, number];
    return { waiting, active, oldestWaitingMs: Math.max(0, oldestMs) };
  }

  async pipelines(): Promise<string[]> {
    return this.#connection.call((client) => client.smembers(`${this.#prefix}:pipelines`));
  }

  /** Newest first. A record that is not what it should be is left out, and told. */
  async allFacts(): Promise<JobFacts[]> {
    const ids = await this.#connection.call((client) => client.zrevrange(`${this.#prefix}:jobs`, 0, -1));
    const all: JobFacts[] = [];
    for (let at = 0; at < ids.length; at += JOBS_AT_ONCE)
      for (const entry of await this.#facts(ids.slice(at, at + JOBS_AT_ONCE)))
        if (entry !== null) all.push(entry.facts);
    return all;
  }

  /** @throws JOB_NOT_FOUND */
  async facts(jobId: string): Promise<{ readonly facts: JobFacts; readonly digest: string }> {
    const [entry] = await this.#facts([jobId]);
    if (entry === null || entry === undefined) throw jobErrors.jobNotFound(jobId);
    return entry;
  }

  /** 100,000 inputs are read in pieces. @throws JOB_NOT_FOUND, CONFIG_INVALID where it is not what it should be. */
  async order(jobId: string): Promise<JobOrder> {
    const [head, chunks] = await this.#connection.call((client) =>
      Promise.all([client.hget(this.#key(jobId), 'head'), client.hgetall(this.#key(jobId, 'inputs'))]),
    );
    if (head === null) throw jobErrors.jobNotFound(jobId);
    const inputs: string[] = [];
    for (let i = 0; String(i) in chunks; i++) {
      if (i > 0) await nextTurn();
      inputs.push(...check(inputList, parse(chunks[i]!), `inputs of job "${jobId}"`));
    }
    return { ...check(orderHead, parse(head), `order of job "${jobId}"`), inputs };
  }

  /** One input of a job, for people; empty where it cannot be found. */
  async input(jobId: string, file: number): Promise<string> {
    const chunk = Math.floor(file / INPUTS_AT_ONCE);
    const text = await this.#connection.call((client) => client.hget(this.#key(jobId, 'inputs'), String(chunk)));
    const inputs = inputList.safeParse(parse(text ?? ''));
    return inputs.data?.[file % INPUTS_AT_ONCE] ?? '';
  }

  async deadLetters(jobId: string): Promise<DeadLetter[]> {
    const texts = await this.#connection.call((client) => client.hgetall(this.#key(jobId, 'dead')));
    const letters = Object.entries(texts).flatMap(
      ([name, text]) => this.#reader.read(deadLetter, text, `dead letter of "${name}"`) ?? [],
    );
    return letters.sort((a, b) => a.failedMs - b.failedMs);
  }

  /** How many segments each of some files has; null for those that were not split yet. */
  async segments(jobId: string, files: readonly number[]): Promise<(number | null)[]> {
    const entries = await this.#connection.call((client) =>
      client.hmget(this.#key(jobId, 'files'), ...files.map(String)),
    );
    return entries.map((entry) => (entry == null ? null : segmentCount(entry)));
  }

  async forget(jobId: string): Promise<void> {
    await this.#run('forget', [jobId]);
  }

  async #facts(ids: readonly string[]): Promise<({ facts: JobFacts; digest: string } | null)[]> {
    const rows = (await this.#run('facts', ids)) as ((string | number | null)[] | null)[];
    return rows.map((row, i) => (row === null ? null : this.#read(ids[i]!, row)));
  }

  #read(id: string, row: readonly (string | number | null)[]): { facts: JobFacts; digest: string } | null {
    const head = this.#reader.read(orderHead, String(row[0]), `order of job "${id}"`);
    if (head === null) return null;
    const number = (at: number): number => Number(row[at] ?? 0);
    const time = (at: number): number | null => (row[at] == null ? null : Number(row[at]));
    const counts = factCounts.safeParse({
      inputs: number(1),
      splits: number(2),
      segments: number(3),
      segmentsDone: number(4),
      mergeable: number(5),
      filesDone: number(6),
      frames: number(7),
      startedMs: time(9),
      finishedMs: time(10),
      busyMs: number(11),
      deadLetters: number(13),
    });
    if (!counts.success) {
      this.#reader.refuse('schema', `record of job "${id}": ${complaintOf(counts.error)}`);
      return null;
    }
    const { pipeline, outDir, createdMs } = head;
    const facts: JobFacts = { id, pipeline, outDir, createdMs, isCancelled: row[8] !== null, ...counts.data };
    return { facts, digest: String(row[12]) };
  }

  #run(name: keyof typeof jobScripts, args: readonly (string | number)[]): Promise<unknown> {
    return this.#connection.call((client) => jobScripts[name].run(client, this.#prefix, args));
  }

  #key(jobId: string, part: string | null = null): string {
    return `${this.#prefix}:job:${jobId}${part === null ? '' : `:${part}`}`;
  }
}

function lockArgs(jobId: string, { queueKeys, taskId, token }: TaskLock): string[] {
  return [jobId, queueKeys, taskId, token];
}

function taskArgs(task: Task, lock: TaskLock): (string | number)[] {
  return [...lockArgs(task.jobId, lock), task.kind, task.file, task.kind === 'segment' ? task.span.index : 0];
}

/** @param entry - `base count`; what is no such thing has none, since a list of that length is made of it. */
function segmentCount(entry: string): number | null {
  const segments = count.max(MOST_SEGMENTS).safeParse(Number(entry.split(' ')[1]));
  return segments.success ? segments.data : null;
}

/** Not JSON is no list either; the schema says so. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
