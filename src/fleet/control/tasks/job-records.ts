import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import { count, timeMs } from '../../../wire/protocol/bounds.ts';
import {
  type DeadLetter,
  deadLetter,
  type JobOrder,
  jobOrder,
  MOST_INPUTS,
  MOST_SEGMENTS,
  type Task,
} from '../../../wire/protocol/fleet.ts';
import { complaintOf } from '../../../wire/protocol/fleet-bus.ts';
import type { EntryReader } from '../store/entry-reader.ts';
import { type FleetSigner, signedJson } from '../store/fleet-signer.ts';
import type { FleetStore, Write } from '../store/fleet-store.ts';
import { type Transaction, transact } from '../store/transaction.ts';
import {
  type Account,
  accountOf,
  bitOf,
  busyGapMs,
  COUNT_FIELDS,
  type Completion,
  countedFrames,
  isDone,
  number,
  RISES,
  segmentCompletion,
  settlement,
} from './job-accounting.ts';
import type { JobFacts } from './job-facts.ts';
import { INPUTS_AT_ONCE, orderDigest } from './order-digest.ts';
import { taskId } from './task-id.ts';

const JOBS_AT_ONCE = 100;

/** Fields of a job's hash that `facts` reads, beside the counts. */
const FACT_FIELDS = ['head', 'digest', 'cancelled', 'startedMs', 'finishedMs', 'busyMs', 'frames'] as const;
const PARTS = ['', ':inputs', ':files', ':split', ':bits', ':merged', ':live', ':dead'] as const;

const jobErrors = {
  jobExists: (id: string) =>
    new SightlineError('JOB_EXISTS', `job "${id}": another job has this id; choose another id, or none`, { id }),
  jobNotFound: (id: string) =>
    new SightlineError('JOB_NOT_FOUND', `job "${id}": no job has this id; finished jobs are removed after a while`, {
      id,
    }),
  /** Not retryable: the existing segment results belong to the file as it was before. */
  splitChanged: (id: string, file: number, before: number, now: number) =>
    new SightlineError(
      'SEGMENT_MISMATCH',
      `job "${id}", file ${file}: expected ${before} segments as in the first split, received ${now}; the file has ` +
        'changed, submit it as a new job',
      { id, file },
    ),
};

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

/** A worker's right to a task, as its broker gives it. */
export interface TaskLock {
  /** Returns whether the worker still has the task, and makes the transaction demand that. */
  isHeld(transaction: Transaction): Promise<boolean>;
}

/** Why a worker must stop a task: another worker has it, its job is cancelled, or its job does not exist. */
export type TaskRefusal = 'lost' | 'cancelled' | 'unknown';
export type BeginAnswer =
  | { readonly verdict: 'run'; readonly digest: string }
  | { readonly verdict: TaskRefusal | 'done' };

export interface TickedTask {
  readonly task: Task;
  readonly lock: TaskLock;
  /** Frames done so far; null if unchanged since the last report. */
  readonly frames: number | null;
}

/**
 * The records of jobs: orders, counts and dead letters. The tasks themselves are with the broker. The keys are
 *
 *     jobs             zset  job -> time it was submitted
 *     pipelines        set   of pipelines that had a job
 *     job:ID           hash  head (the order without its inputs), digest, counts and times
 *     job:ID:inputs    hash  number of a chunk -> list of inputs
 *     job:ID:files     hash  FILE -> "base count": its segments are the bits from base on; dFILE -> number done; fFILE -> their frames
 *     job:ID:split, job:ID:bits, job:ID:merged   bitmaps of completed work: by file, by segment, by file
 *     job:ID:live      hash  task -> frames so far
 *     job:ID:dead      hash  task -> dead letter
 *
 * A count rises only when its bit changes to 1, so a task that runs twice counts once.
 */
export class JobRecords {
  readonly #store: FleetStore;
  readonly #reader: EntryReader;
  readonly #signer: FleetSigner | null;
  /** The last change of each job: those of one process run one after the other, since all of them change its counts. */
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(store: FleetStore, reader: EntryReader, signer: FleetSigner | null = null) {
    this.#store = store;
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
    const isQueued = await transact(this.#store, async (transaction) => {
      const [known, queued] = await transaction.read(['HGET', `job:${id}`, 'digest'], ['HGET', `job:${id}`, 'queued']);
      if (known !== null && known !== digest) throw jobErrors.jobExists(id);
      if (known !== null) return queued !== null;
      await transaction.commit([
        ['HSET', `job:${id}`, 'digest', digest, 'head', this.#json(`job:${id}`, head), 'inputs', inputs.length],
        ['ZADD', 'jobs', createdMs, id],
        ['SADD', 'pipelines', pipeline],
      ]);
      return false;
    });
    for (let at = 0; !isQueued && at < inputs.length; at += INPUTS_AT_ONCE) {
      const number = at / INPUTS_AT_ONCE;
      const some = inputs.slice(at, at + INPUTS_AT_ONCE);
      const chunk =
        this.#signer === null ? JSON.stringify(some) : this.#json(`inputs:${id}:${number}`, { inputs: some });
      await this.#write(['HSET', `job:${id}:inputs`, number, chunk]);
    }
    return !isQueued;
  }

  /** Records that all tasks of the job are in the queue. */
  markQueued(jobId: string): Promise<void> {
    return this.#write(['HSET', `job:${jobId}`, 'queued', 1]);
  }

  begin(task: Task, lock: TaskLock): Promise<BeginAnswer> {
    return this.#change(task, lock, async (transaction, job, account): Promise<BeginAnswer> => {
      const place = bitOf(task, account);
      if (place === null) return { verdict: 'unknown' };
      const [bit] = await transaction.read(place);
      if (bit === 1) return { verdict: 'done' };
      const writes: Write[] = [['HDEL', `${job}:live`, taskId(task)]];
      const { nowMs } = transaction;
      if (account.startedMs === null) writes.push(['HSET', job, 'startedMs', nowMs, 'lastMs', nowMs]);
      await transaction.commit(writes);
      return { verdict: 'run', digest: account.digest };
    }).then((answer) => (typeof answer === 'string' ? { verdict: answer } : answer));
  }

  /** Stores the number of segments of a file. @throws SEGMENT_MISMATCH if an earlier split had another number. */
  plan({ jobId, file }: Task, lock: TaskLock, segments: number): Promise<TaskRefusal | 'ok'> {
    return this.#change({ jobId, file }, lock, async (transaction, job, { counts, file: known }): Promise<'ok'> => {
      if (known === null) {
        await transaction.commit([
          ['HSET', job, 'segments', counts.segments + segments],
          ['HSET', `${job}:files`, file, `${counts.segments} ${segments}`],
        ]);
      } else if (known.segments !== segments) throw jobErrors.splitChanged(jobId, file, known.segments, segments);
      return 'ok';
    });
  }

  /** Counts a task as done, once. @param completion - of a segment: whether it is the file's last is decided here. */
  finish(task: Task, lock: TaskLock, completion: Completion, frames: number): Promise<TaskRefusal | 'ok'> {
    return this.#change(task, lock, async (transaction, job, account) => {
      const id = taskId(task);
      const place = bitOf(task, account);
      if (place === null) return 'unknown';
      const [bit, isDead] = await transaction.read(place, ['HEXISTS', `${job}:dead`, id]);
      const writes: Write[] = [
        ['HDEL', `${job}:live`, id],
        ['HDEL', `${job}:dead`, id],
      ];
      const counts = { ...account.counts, deadLetters: account.counts.deadLetters - isDead };
      if (bit === 0) {
        writes.push(['SETBIT', place[1], place[2], 1]);
        if (completion === 'splitOnly') writes.push(['SETBIT', `${job}:merged`, task.file, 1]);
        let risen = completion;
        if (task.kind === 'segment') {
          const { nowMs } = transaction;
          const { segments, done: doneBefore, frames: framesBefore } = account.file!;
          const done = doneBefore + 1;
          const counted = countedFrames(task.kind, frames);
          risen = segmentCompletion(done, segments);
          const busyMs = account.busyMs + busyGapMs(nowMs - account.lastMs, { ...account, ...account.counts });
          writes.push(
            ['HSET', `${job}:files`, `d${task.file}`, done, `f${task.file}`, framesBefore + counted],
            ['HSET', job, 'busyMs', busyMs, 'lastMs', nowMs, 'frames', account.frames + counted],
          );
        } else if (task.kind === 'merge' && frames > 0)
          // The file was inferred as a whole, instead of its segments.
          writes.push(['HSET', job, 'frames', account.frames - (account.file?.frames ?? 0) + Math.round(frames)]);
        for (const name of RISES[risen]) writes.push(['HSET', job, name, ++counts[name]]);
      }
      await transaction.commit([...writes, ...settlement(job, counts, account, transaction.nowMs)]);
      return 'ok';
    });
  }

  addDeadLetter(letter: Omit<DeadLetter, 'failedMs'>, lock: TaskLock): Promise<TaskRefusal | 'ok'> {
    const { taskId: id, jobId } = letter;
    return this.#change({ jobId }, lock, async (transaction, job, account): Promise<'ok'> => {
      const { nowMs } = transaction;
      const [isDead] = await transaction.read(['HEXISTS', `${job}:dead`, id]);
      const counts = { ...account.counts, deadLetters: account.counts.deadLetters + 1 - isDead };
      await transaction.commit([
        ['HSET', `${job}:dead`, id, this.#json(`dead:${id}`, { ...letter, failedMs: nowMs })],
        ['HDEL', `${job}:live`, id],
        ...settlement(job, counts, account, nowMs),
      ]);
      return 'ok';
    });
  }

  /** Deletes dead letters whose tasks are queued again, except those that were rewritten meanwhile. */
  async requeue(jobId: string, letters: readonly DeadLetter[]): Promise<void> {
    await this.#change({ jobId }, null, async (transaction, job, account) => {
      const [texts] = await transaction.read(['HMGET', `${job}:dead`, ...letters.map(({ taskId: id }) => id)]);
      const same = letters.filter((letter, i) => texts[i] === this.#json(`dead:${letter.taskId}`, letter));
      const counts = { ...account.counts, deadLetters: account.counts.deadLetters - same.length };
      await transaction.commit([
        ...same.map(({ taskId: id }): Write => ['HDEL', `${job}:dead`, id]),
        ...settlement(job, counts, account, transaction.nowMs),
      ]);
    });
  }

  /** @returns false if the job is already done. @throws JOB_NOT_FOUND */
  async cancel(jobId: string): Promise<boolean> {
    const answer = await this.#change({ jobId }, null, async (transaction, job, { counts, finishedMs }) => {
      if (counts.inputs === 0) return 'unknown';
      if (isDone(counts)) return 'done';
      const writes: Write[] = [['HSET', job, 'cancelled', 1]];
      if (finishedMs === null) writes.push(['HSET', job, 'finishedMs', transaction.nowMs]);
      await transaction.commit(writes);
      return 'ok';
    });
    if (answer === 'unknown') throw jobErrors.jobNotFound(jobId);
    return answer === 'ok';
  }

  /** Stores the progress of tasks and returns which of them must stop. */
  progress(tasks: readonly TickedTask[]): Promise<('ok' | 'lost' | 'cancelled')[]> {
    return transact(this.#store, async (transaction) => {
      const held = await Promise.all(tasks.map(({ lock }) => lock.isHeld(transaction)));
      const jobs = tasks.flatMap(({ task: { jobId } }) => [
        ['HGET', `job:${jobId}`, 'digest'] as const,
        ['HGET', `job:${jobId}`, 'cancelled'] as const,
      ]);
      const fields = await transaction.read(...jobs);
      const writes: Write[] = [];
      const verdicts = tasks.map(({ task, frames }, i) => {
        if (!held[i]) return 'lost';
        if (fields[2 * i] === null || fields[2 * i + 1] !== null) return 'cancelled';
        if (frames !== null) writes.push(['HSET', `job:${task.jobId}:live`, taskId(task), frames]);
        return 'ok';
      });
      if (writes.length > 0) await transaction.commit(writes);
      return verdicts;
    });
  }

  async pipelines(): Promise<readonly string[]> {
    const { replies } = await this.#store.read([['SMEMBERS', 'pipelines']]);
    return replies[0];
  }

  /** Newest first. A malformed record is omitted and reported. */
  async allFacts(): Promise<JobFacts[]> {
    const { replies } = await this.#store.read([['ZREVRANGE', 'jobs', 0, -1]]);
    const [ids] = replies;
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
    const { replies } = await this.#store.read([
      ['HGET', `job:${jobId}`, 'head'],
      ['HGETALL', `job:${jobId}:inputs`],
    ]);
    const [head, flat] = replies;
    if (head === null) throw jobErrors.jobNotFound(jobId);
    const chunks = mapOf(flat);
    const inputs: string[] = [];
    for (let i = 0; chunks.has(String(i)); i++) {
      if (i > 0) await nextTurn();
      inputs.push(...check(inputList, this.#inputsOf(jobId, i, chunks.get(String(i))!), `inputs of job "${jobId}"`));
    }
    const value = parse(head);
    this.#demandSigned(`job:${jobId}`, value, `order of job "${jobId}"`);
    return { ...check(orderHead, value, `order of job "${jobId}"`), inputs };
  }

  /** Returns one input of a job for messages; empty if it cannot be found. */
  async input(jobId: string, file: number): Promise<string> {
    const chunk = Math.floor(file / INPUTS_AT_ONCE);
    const { replies } = await this.#store.read([['HGET', `job:${jobId}:inputs`, chunk]]);
    const inputs = inputList.safeParse(listOf(parse(replies[0] ?? '')));
    return inputs.data?.[file % INPUTS_AT_ONCE] ?? '';
  }

  async deadLetters(jobId: string): Promise<DeadLetter[]> {
    const { replies } = await this.#store.read([['HGETALL', `job:${jobId}:dead`]]);
    const letters = Array.from(
      mapOf(replies[0]),
      ([name, text]) =>
        this.#reader.read(deadLetter, text, `dead letter of "${name}"`, { place: `dead:${name}` }) ?? [],
    );
    return letters.flat().sort((a, b) => a.failedMs - b.failedMs);
  }

  /** Returns the number of segments of each file; null for files that are not split yet. */
  async segments(jobId: string, files: readonly number[]): Promise<(number | null)[]> {
    const { replies } = await this.#store.read([['HMGET', `job:${jobId}:files`, ...files]]);
    return replies[0].map((entry) => {
      // The caller makes a list of that length.
      const segments = count.max(MOST_SEGMENTS).safeParse(Number(entry?.split(' ')[1]));
      return segments.success ? segments.data : null;
    });
  }

  /** Deletes all keys of a job. */
  forget(jobId: string): Promise<void> {
    return this.#write(...PARTS.map((part): Write => ['DEL', `job:${jobId}${part}`]), ['ZREM', 'jobs', jobId]);
  }

  /** Changes the account of a job, for a task of a file or for all. @param lock - of the worker that does it; null: an operator does. */
  async #change<T>(
    { jobId, file }: { readonly jobId: string; readonly file?: number },
    lock: TaskLock | null,
    rules: (transaction: Transaction, job: string, account: Account) => Promise<T>,
  ): Promise<T | TaskRefusal> {
    const before = this.#last.get(jobId);
    const change = transact(this.#store, async (transaction): Promise<T | TaskRefusal> => {
      await before;
      const job = `job:${jobId}`;
      const [isHeld, account] = await Promise.all([
        lock?.isHeld(transaction) ?? true,
        accountOf(transaction, job, file ?? 0),
      ]);
      if (!isHeld) return 'lost';
      if (account.digest === '') return 'unknown';
      if (account.isCancelled && lock !== null) return 'cancelled';
      return rules(transaction, job, account);
    });
    const settled = change.catch(() => undefined);
    this.#last.set(jobId, settled);
    try {
      return await change;
    } finally {
      if (this.#last.get(jobId) === settled) this.#last.delete(jobId);
    }
  }

  async #facts(ids: readonly string[]): Promise<({ facts: JobFacts; digest: string } | null)[]> {
    const { replies } = await this.#store.read([
      ...ids.flatMap((id) => [
        ['HMGET', `job:${id}`, ...FACT_FIELDS, ...COUNT_FIELDS] as const,
        ['HVALS', `job:${id}:live`] as const,
        ['HLEN', `job:${id}:dead`] as const,
      ]),
    ]);
    return ids.map((id, i) => {
      const [fields, live, dead] = replies.slice(3 * i, 3 * i + 3) as [(string | null)[], string[], number];
      return this.#read(id, fields, live, dead);
    });
  }

  #read(
    id: string,
    values: readonly (string | null)[],
    live: readonly string[],
    deadLetters: number,
  ): { facts: JobFacts; digest: string } | null {
    const [head = null, digest, cancelled, startedMs, finishedMs, busyMs, frames, ...counts] = values;
    if (head === null) return null;
    const order = this.#reader.read(orderHead, head, `order of job "${id}"`, { place: `job:${id}` });
    if (order === null) return null;
    const stored = Object.fromEntries(COUNT_FIELDS.map((name, i) => [name, Number(counts[i] ?? 0)]));
    // A late report of a killed host may come after its segment is done.
    const running = stored.segmentsDone === stored.segments ? [] : live;
    const parsed = factCounts.safeParse({
      ...stored,
      frames: running.reduce((sum, text) => sum + number(text), Number(frames ?? 0)),
      startedMs: startedMs == null ? null : Number(startedMs),
      finishedMs: finishedMs == null ? null : Number(finishedMs),
      busyMs: Number(busyMs ?? 0),
      deadLetters,
    });
    if (!parsed.success) {
      this.#reader.refuse('schema', `record of job "${id}": ${complaintOf(parsed.error)}`);
      return null;
    }
    const { pipeline, outDir, createdMs } = order;
    const facts = { id, pipeline, outDir, createdMs, isCancelled: cancelled !== null, ...parsed.data };
    return { facts, digest: digest ?? '' };
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
    return signedJson(this.#signer, place, record);
  }

  async #write(...writes: readonly Write[]): Promise<void> {
    await this.#store.commit({ guards: [], writes, beforeMs: null, least: 0 });
  }
}

/** @param flat - name, text, name, text ... as a hash is listed. */
function mapOf(flat: readonly string[]): Map<string, string> {
  return new Map(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1]!] as const] : [])));
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
