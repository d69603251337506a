import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/core/clock.ts';
import { Incidents } from '../../src/base/flow/incidents.ts';
import { RedisConnection } from '../../src/fleet/control/redis/connect.ts';
import { RedisStore } from '../../src/fleet/control/redis/redis-store.ts';
import { EntryReader } from '../../src/fleet/control/store/entry-reader.ts';
import { MemoryStore } from '../../src/fleet/control/store/memory-store.ts';
import { type FollowUp, followUp } from '../../src/fleet/control/tasks/follow-up.ts';
import { splitCompletion } from '../../src/fleet/control/tasks/job-accounting.ts';
import { type JobFacts, jobReportOf } from '../../src/fleet/control/tasks/job-facts.ts';
import { JobRecords, type TaskLock } from '../../src/fleet/control/tasks/job-records.ts';
import { taskId } from '../../src/fleet/control/tasks/task-id.ts';
import type { JobOrder, Task } from '../../src/wire/protocol/fleet.ts';
import { JobModel } from '../support/job-model.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { jobOrderOf, splitInto } from '../support/task-handlers.ts';

const HELD: TaskLock = { isHeld: () => Promise.resolve(true) };

interface Step {
  readonly what: 'begin' | 'progress' | 'finish' | 'repeat' | 'fail' | 'retry';
  /** Picks one of the tasks that the step could be about. */
  readonly which: number;
  readonly frames: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom('begin', 'progress', 'progress', 'finish', 'finish', 'finish', 'repeat', 'fail', 'retry'),
  which: fc.nat(5),
  frames: fc.nat(500),
});
/** Segments of each file; null for a split that nothing follows. */
const files = fc.array(fc.option(fc.nat(3)), { minLength: 1, maxLength: 4 });

/** What a model keeps in variables and the records in keys must stay the same, whatever happens to the tasks. */
describe.skipIf(redisMissing !== null)('the accounts of a job in memory and in Redis', () => {
  let server: RedisServer;
  let connection: RedisConnection;
  let records: readonly JobRecords[];
  let jobs = 0;

  beforeAll(async () => {
    server = await RedisServer.open();
    connection = await RedisConnection.open({ url: server.url, caFile: null, commandTimeoutMs: 5_000 });
    const stores = [new MemoryStore(systemClock), new RedisStore(connection, '{accounts}')];
    records = stores.map((store) => new JobRecords(store, new EntryReader(new Incidents())));
  });
  afterAll(async () => {
    await connection.close();
    await server.close();
  });

  it('are equal after every step of any job', async () => {
    await fc.assert(
      fc.asyncProperty(files, fc.array(step, { minLength: 20, maxLength: 60 }), async (segments, steps) => {
        jobs += 1;
        const walk = await JobWalk.open(records, jobOrderOf(`j${jobs}`, segments.length), segments);
        for (const one of steps) await walk.go(one);
      }),
      { numRuns: 100 },
    );
  });

  it('show a job as done once every task has completed, with the frames of every segment', async () => {
    await fc.assert(
      fc.asyncProperty(files, async (segments) => {
        jobs += 1;
        const walk = await JobWalk.open(records, jobOrderOf(`j${jobs}`, segments.length), segments);
        while (walk.hasOpen) await walk.go({ what: 'finish', which: 0, frames: walk.isMergeNext ? 0 : 7 });
        const total = segments.reduce<number>((sum, count) => sum + (count ?? 0), 0);
        for (const facts of await walk.facts())
          expect(jobReportOf(facts)).toMatchObject({
            state: 'done',
            filesDone: segments.length,
            segments: total,
            segmentsDone: total,
            frames: 7 * total,
          });
      }),
      { numRuns: 20 },
    );
  });
});

/** Takes one job through the same steps in the model and in each store. */
class JobWalk {
  readonly #records: readonly JobRecords[];
  readonly #model: JobModel;
  readonly #segments: readonly (number | null)[];
  #open: Task[];
  readonly #done: { readonly task: Task; readonly next: FollowUp | null }[] = [];
  #dead: Task[] = [];
  readonly #begun = new Set<Task>();

  private constructor(records: readonly JobRecords[], order: JobOrder, segments: readonly (number | null)[]) {
    this.#records = records;
    this.#model = new JobModel(order);
    this.#segments = segments;
    const { id: jobId, pipeline } = order;
    this.#open = segments.map((_, file) => ({ kind: 'split', jobId, pipeline, file }));
  }

  static async open(
    records: readonly JobRecords[],
    order: JobOrder,
    segments: readonly (number | null)[],
  ): Promise<JobWalk> {
    for (const each of records) await each.open(order);
    return new JobWalk(records, order, segments);
  }

  get hasOpen(): boolean {
    return this.#open.length > 0;
  }

  get isMergeNext(): boolean {
    return this.#open[0]?.kind === 'merge';
  }

  facts(): Promise<JobFacts[]> {
    return this.#each(async (records) => (await records.facts(this.#model.order.id)).facts);
  }

  async go({ what, which, frames }: Step): Promise<void> {
    const task = this.#open[which % this.#open.length];
    const done = this.#done[which % this.#done.length];
    if (what === 'retry') await this.#retry();
    else if (what === 'repeat' && done !== undefined) await this.#finish(done.task, frames, done.next);
    else if (task === undefined) return;
    else if (what === 'begin') await this.#begin(task);
    else if (what === 'progress') await this.#progress(task, frames);
    else if (what === 'fail') await this.#fail(task);
    else await this.#complete(task, frames);
    const expected = this.#model.facts();
    for (const facts of await this.facts()) {
      expect(withoutTimes(facts), what).toEqual(withoutTimes(expected));
      expect(jobReportOf(facts).state, what).toBe(jobReportOf(expected).state);
    }
  }

  async #begin(task: Task): Promise<void> {
    this.#begun.add(task);
    this.#model.begin(task, Date.now());
    for (const answer of await this.#each((records) => records.begin(task, HELD)))
      expect(answer).toMatchObject({ verdict: 'run' });
  }

  async #progress(task: Task, frames: number): Promise<void> {
    if (task.kind !== 'segment') return;
    if (!this.#begun.has(task)) await this.#begin(task);
    this.#model.progress(task, frames);
    await this.#each((records) => records.progress([{ task, lock: HELD, frames }]));
  }

  async #complete(task: Task, frames: number): Promise<void> {
    const count = task.kind === 'split' ? this.#segments[task.file]! : null;
    const next = count === null ? null : followUp(task, splitInto(task, count));
    if (!this.#begun.has(task)) await this.#begin(task);
    const ready = await this.#finish(task, frames, next);
    this.#open = [...this.#open.filter((other) => other !== task), ...ready];
    this.#done.push({ task, next });
  }

  async #finish(task: Task, frames: number, next: FollowUp | null): Promise<readonly Task[]> {
    const completion = task.kind === 'split' ? splitCompletion(next?.segments.length ?? null) : task.kind;
    for (const records of this.#records) {
      if (next !== null) expect(await records.plan(task, HELD, next.segments.length)).toBe('ok');
      expect(await records.finish(task, HELD, completion, frames)).toBe('ok');
    }
    return this.#model.finish(task, frames, next, Date.now());
  }

  async #fail(task: Task): Promise<void> {
    if (!this.#begun.delete(task)) await this.#begin(task);
    const { jobId, kind } = task;
    const letter = { taskId: taskId(task), jobId, kind, input: '/videos/a.mp4', reason: 'no luck', attempts: 1 };
    this.#model.addDeadLetter(task, Date.now());
    expect(await this.#each((records) => records.addDeadLetter(letter, HELD))).toEqual(['ok', 'ok']);
    this.#open = this.#open.filter((other) => other !== task);
    this.#dead.push(task);
  }

  async #retry(): Promise<void> {
    const { id } = this.#model.order;
    await this.#each(async (records) => records.requeue(id, await records.deadLetters(id)));
    expect(this.#model.requeue(Date.now())).toEqual(this.#dead);
    this.#open.push(...this.#dead);
    this.#dead = [];
  }

  #each<T>(call: (records: JobRecords) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#records.map(call));
  }
}

/** Each store has a clock of its own; which of the times are set must be the same. */
function withoutTimes({ startedMs, finishedMs, busyMs, ...facts }: JobFacts) {
  return { ...facts, hasStarted: startedMs !== null, hasFinished: finishedMs !== null };
}
