import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { check } from '../../config/check.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
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
import type { EntryReader } from '../store/entry-reader.ts';
import type { FleetSigner } from '../store/fleet-signer.ts';
import { type Completion, countedFrames } from '../tasks/job-accounting.ts';
import { jobErrors } from '../tasks/job-errors.ts';
import type { JobFacts } from '../tasks/job-facts.ts';
import { INPUTS_AT_ONCE, orderDigest } from '../tasks/order-digest.ts';
import type { RedisConnection } from './connect.ts';
import { FACT_FIELDS, jobScripts } from './job-scripts.ts';

const JOBS_AT_ONCE = 100;
type FactField = (typeof FACT_FIELDS)[number];

const orderHead = jobOrder.omit({ inputs: true });
const inputList = z.array(z.string());

/** Counts in the job's hash. `inputs` bounds a loop, so it must not exceed what a job may have. */
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

/** A worker's lock on a task, as BullMQ assigned it. */
export interface TaskLock {
  /** Prefix of all keys of the queue. */
  readonly queueKeys: string;
  readonly taskId: string;
  readonly token: string;
}

/** Why a worker must stop a task: another worker has it, its job is cancelled, or its job does not exist. */
export type TaskRefusal = 'lost' | 'cancelled' | 'unknown';
export type BeginAnswer =
  | { readonly verdict: 'run'; readonly digest: string }
  | { readonly verdict: TaskRefusal | 'done' };

export interface TickedTask {
  readonly jobId: string;
  readonly lock: TaskLock;
  /** Frames done so far; null if unchanged since the last report. */
  readonly frames: number | null;
}

/** The records of jobs in Redis: orders, counts and dead letters. The tasks themselves are in the queue. */
export class JobRecords {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #reader: EntryReader;
  readonly #signer: FleetSigner | null;

  /** @param prefix - of every key, with its hash tag. */
  constructor(connection: RedisConnection, prefix: string, reader: EntryReader, signer: FleetSigner | null = null) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#reader = reader;
    this.#signer = signer;
  }

  /**
   * Stores an order.
   *
   * @returns whether its tasks must still be queued: the order is new, or an earlier submission was interrupted.
   * @throws JOB_EXISTS if another order has this id.
   */
  async open(order: JobOrder): Promise<boolean> {
    const digest = await orderDigest(order);
    const { inputs, ...head } = order;
    const { id, createdMs, pipeline } = order;
    const args = [id, digest, this.#json(`job:${id}`, head), inputs.length, createdMs, pipeline];
    const answer = (await this.#run('open', args)) as 'new' | 'begun' | 'known' | 'other';
    if (answer === 'other') throw jobErrors.jobExists(id);
    if (answer === 'known') return false;
    for (let at = 0; at < inputs.length; at += INPUTS_AT_ONCE) {
      const number = at / INPUTS_AT_ONCE;
      const some = inputs.slice(at, at + INPUTS_AT_ONCE);
      const chunk =
        this.#signer === null ? JSON.stringify(some) : this.#json(`inputs:${id}:${number}`, { inputs: some });
      await this.#connection.call((client) => client.hset(this.#key(id, 'inputs'), number, chunk));
    }
    return true;
  }

  /** Records that all tasks of the job are in the queue. */
  async markQueued(jobId: string): Promise<void> {
    await this.#connection.call((client) => client.hset(this.#key(jobId), 'queued', 1));
  }

  async begin(task: Task, lock: TaskLock): Promise<BeginAnswer> {
    const answer = (await this.#run('begin', taskArgs(task, lock))) as [string, string?];
    const [verdict, digest = ''] = answer as [BeginAnswer['verdict'], string?];
    return verdict === 'run' ? { verdict, digest } : { verdict };
  }

  /** Stores the number of segments of a file. @throws SEGMENT_MISMATCH if an earlier split had another number. */
  async plan(task: Task, lock: TaskLock, segments: number): Promise<TaskRefusal | 'ok'> {
    const args = [...lockArgs(task.jobId, lock), task.file, segments];
    const answer = (await this.#run('plan', args)) as TaskRefusal | 'ok' | number;
    if (typeof answer === 'number') throw jobErrors.splitChanged(task.jobId, task.file, answer, segments);
    return answer;
  }

  /** Counts a task as done, once. @param completion - of a segment: whether it is the file's last is decided in Redis. */
  async finish(task: Task, lock: TaskLock, completion: Completion, frames: number): Promise<TaskRefusal | 'ok'> {
    const args = [...taskArgs(task, lock), completion, countedFrames(task.kind, frames)];
    return (await this.#run('finish', args)) as TaskRefusal | 'ok';
  }

  async addDeadLetter(letter: DeadLetter, lock: TaskLock): Promise<TaskRefusal | 'ok'> {
    const args = [...lockArgs(letter.jobId, lock), this.#json(`dead:${letter.taskId}`, letter)];
    return (await this.#run('addDeadLetter', args)) as TaskRefusal | 'ok';
  }

  /** Deletes dead letters whose tasks are queued again, except those that were rewritten meanwhile. */
  async requeue(jobId: string, letters: readonly DeadLetter[]): Promise<void> {
    await this.#run('requeue', [
      jobId,
      ...letters.flatMap((letter) => [letter.taskId, this.#json(`dead:${letter.taskId}`, letter)]),
    ]);
  }

  /** @returns false if the job is already done. @throws JOB_NOT_FOUND */
  async cancel(jobId: string): Promise<boolean> {
    const answer = (await this.#run('cancel', [jobId])) as 'ok' | 'missing' | 'done';
    if (answer === 'missing') throw jobErrors.jobNotFound(jobId);
    return answer === 'ok';
  }

  /** Reports the progress of tasks and returns which of them must stop, in one call. */
  async tick(
    queueKeys: string,
    { lockMs, stalledMs }: { readonly lockMs: number; readonly stalledMs: number },
    tasks: readonly TickedTask[],
  ): Promise<{ ready: number; verdicts: ('ok' | TaskRefusal)[] }> {
    const args = tasks.flatMap(({ jobId, lock, frames }) => [jobId, lock.taskId, lock.token, frames ?? -1]);
    const [ready, ...verdicts] = (await this.#run('tick', [queueKeys, lockMs, stalledMs, ...args])) as [
      number,
      ...('ok' | TaskRefusal)[],
    ];
    return { ready, verdicts };
  }

  async counts(queueKeys: readonly string[]): Promise<{ waiting: number; active: number; oldestWaitingMs: number }> {
    const [waiting, active, oldestMs] = (await this.#run('counts', queueKeys)) as [number, number, number];
    return { waiting, active, oldestWaitingMs: Math.max(0, oldestMs) };
  }

  async pipelines(): Promise<string[]> {
    return this.#connection.call((client) => client.smembers(`${this.#prefix}:pipelines`));
  }

  /** Newest first. A malformed record is omitted and reported. */
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

  /** Parses the inputs in chunks: there may be 100,000. @throws JOB_NOT_FOUND, CONFIG_INVALID if the record is malformed. */
  async order(jobId: string): Promise<JobOrder> {
    const [head, chunks] = await this.#connection.call((client) =>
      Promise.all([client.hget(this.#key(jobId), 'head'), client.hgetall(this.#key(jobId, 'inputs'))]),
    );
    if (head === null) throw jobErrors.jobNotFound(jobId);
    const inputs: string[] = [];
    for (let i = 0; String(i) in chunks; i++) {
      if (i > 0) await nextTurn();
      inputs.push(...check(inputList, this.#inputsOf(jobId, i, chunks[i]!), `inputs of job "${jobId}"`));
    }
    const value = parse(head);
    this.#demandSigned(`job:${jobId}`, value, `order of job "${jobId}"`);
    return { ...check(orderHead, value, `order of job "${jobId}"`), inputs };
  }

  /** Returns one input of a job for messages; empty if it cannot be found. */
  async input(jobId: string, file: number): Promise<string> {
    const chunk = Math.floor(file / INPUTS_AT_ONCE);
    const text = await this.#connection.call((client) => client.hget(this.#key(jobId, 'inputs'), String(chunk)));
    const inputs = inputList.safeParse(listOf(parse(text ?? '')));
    return inputs.data?.[file % INPUTS_AT_ONCE] ?? '';
  }

  async deadLetters(jobId: string): Promise<DeadLetter[]> {
    const texts = await this.#connection.call((client) => client.hgetall(this.#key(jobId, 'dead')));
    const letters = Object.entries(texts).flatMap(
      ([name, text]) =>
        this.#reader.read(deadLetter, text, `dead letter of "${name}"`, { place: `dead:${name}` }) ?? [],
    );
    return letters.sort((a, b) => a.failedMs - b.failedMs);
  }

  /** Returns the number of segments of each file; null for files that are not split yet. */
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
    const head = this.#reader.read(orderHead, String(row[FACT_FIELDS.indexOf('head')]), `order of job "${id}"`, {
      place: `job:${id}`,
    });
    if (head === null) return null;
    const [liveFrames, deadLetters] = row.slice(FACT_FIELDS.length);
    const fields = Object.fromEntries(FACT_FIELDS.map((name, at) => [name, row[at] ?? null]));
    const number = (name: FactField): number => Number(fields[name] ?? 0);
    const time = (name: FactField): number | null => (fields[name] === null ? null : Number(fields[name]));
    const counts = factCounts.safeParse({
      inputs: number('inputs'),
      splits: number('splits'),
      segments: number('segments'),
      segmentsDone: number('segmentsDone'),
      mergeable: number('mergeable'),
      filesDone: number('filesDone'),
      // A late report of a killed host may come after its segment is done.
      frames: number('frames') + (number('segmentsDone') === number('segments') ? 0 : Number(liveFrames)),
      startedMs: time('startedMs'),
      finishedMs: time('finishedMs'),
      busyMs: number('busyMs'),
      deadLetters: Number(deadLetters),
    });
    if (!counts.success) {
      this.#reader.refuse('schema', `record of job "${id}": ${complaintOf(counts.error)}`);
      return null;
    }
    const { pipeline, outDir, createdMs } = head;
    const isCancelled = fields.cancelled !== null;
    const facts: JobFacts = { id, pipeline, outDir, createdMs, isCancelled, ...counts.data };
    return { facts, digest: String(fields.digest) };
  }

  /** @throws CONFIG_INVALID */
  #inputsOf(jobId: string, number: number, chunk: string): unknown {
    const value = parse(chunk);
    this.#demandSigned(`inputs:${jobId}:${number}`, value, `inputs of job "${jobId}"`);
    return listOf(value);
  }

  #demandSigned(place: string, value: unknown, where: string): void {
    if (this.#reader.isSigned({ place }, value, where)) return;
    throw new SightlineError('CONFIG_INVALID', `${where}: expected a record that is signed with a key of this fleet`);
  }

  #json(place: string, record: object): string {
    return JSON.stringify(this.#signer === null ? record : this.#signer.sign(place, record));
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

/** @param entry - `base count`. @returns null if malformed or too large: the caller makes a list of that length. */
function segmentCount(entry: string): number | null {
  const segments = count.max(MOST_SEGMENTS).safeParse(Number(entry.split(' ')[1]));
  return segments.success ? segments.data : null;
}

/** Signed inputs are in an object. */
function listOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'inputs' in value ? value.inputs : value;
}

/** Text that is not JSON is returned as it is, for the schema to refuse. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
