import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemoryJob } from '../../src/control/memory/memory-job.ts';
import { lockKeyOf, queueKeysOf } from '../../src/control/redis/bull-layout.ts';
import { RedisConnection } from '../../src/control/redis/connect.ts';
import { JobRecords, type TaskLock } from '../../src/control/redis/job-records.ts';
import { JOB_RULES_LUA } from '../../src/control/redis/job-rules.ts';
import { RedisScript } from '../../src/control/redis/redis-script.ts';
import { EntryReader } from '../../src/control/store/entry-reader.ts';
import { type FollowUp, followUp } from '../../src/control/tasks/follow-up.ts';
import { busyGapMs, splitCompletion } from '../../src/control/tasks/job-accounting.ts';
import { type JobFacts, jobReportOf } from '../../src/control/tasks/job-facts.ts';
import { orderDigest } from '../../src/control/tasks/order-digest.ts';
import { taskId } from '../../src/control/tasks/task-id.ts';
import { Incidents } from '../../src/flow/incidents.ts';
import type { DeadLetter, JobOrder, Task } from '../../src/protocol/fleet.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { jobOrderOf, splitInto } from '../support/task-handlers.ts';

const PREFIX = '{accounts}';
const TOKEN = 'worker';
const QUEUE_KEYS = queueKeysOf(`${PREFIX}:bull`, 'bulk');

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

/** What memory keeps in variables and Redis in keys must stay the same, whatever happens to the tasks. */
describe.skipIf(redisMissing !== null)('the accounts of a job in memory and in Redis', () => {
  let server: RedisServer;
  let connection: RedisConnection;
  let records: JobRecords;
  let jobs = 0;

  beforeAll(async () => {
    server = await RedisServer.open();
    connection = await RedisConnection.open({ url: server.url, caFile: null, commandTimeoutMs: 5_000 });
    records = new JobRecords(connection, PREFIX, new EntryReader(new Incidents(() => {})));
  });
  afterAll(async () => {
    await connection.close();
    await server.close();
  });

  it('are equal after every step of any job', async () => {
    await fc.assert(
      fc.asyncProperty(files, fc.array(step, { minLength: 20, maxLength: 60 }), async (segments, steps) => {
        jobs += 1;
        const walk = await JobWalk.open(records, server, jobOrderOf(`j${jobs}`, segments.length), segments);
        for (const one of steps) await walk.go(one);
      }),
      { numRuns: 100 },
    );
  });

  it('show a job as done once every task has completed, with the frames of every segment', async () => {
    await fc.assert(
      fc.asyncProperty(files, async (segments) => {
        jobs += 1;
        const walk = await JobWalk.open(records, server, jobOrderOf(`j${jobs}`, segments.length), segments);
        while (walk.hasOpen) await walk.go({ what: 'finish', which: 0, frames: 7 });
        const total = segments.reduce<number>((sum, count) => sum + (count ?? 0), 0);
        expect(jobReportOf(await walk.facts())).toMatchObject({
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

  it('count the same time between two segments as working time', async () => {
    const lua = new RedisScript(
      `${JOB_RULES_LUA}\nreturn string.format('%.0f', busyGapMs(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])))`,
    );
    const gap = fc.integer({ min: -(10 ** 10), max: 10 ** 10 });
    await fc.assert(
      fc.asyncProperty(gap, fc.nat(10 ** 9), fc.nat(10_000), async (gapMs, busyMs, segmentsDone) => {
        const inRedis = await lua.run(server.admin, PREFIX, [gapMs, busyMs, segmentsDone]);
        expect(Number(inRedis)).toBe(busyGapMs(gapMs, { busyMs, segmentsDone }));
      }),
    );
  });
});

/** Takes one job through the same steps in memory and in Redis. */
class JobWalk {
  readonly #records: JobRecords;
  readonly #server: RedisServer;
  readonly #memory: MemoryJob;
  readonly #segments: readonly (number | null)[];
  #open: Task[];
  readonly #done: { readonly task: Task; readonly next: FollowUp | null }[] = [];
  #dead: Task[] = [];
  readonly #begun = new Set<Task>();

  private constructor(
    records: JobRecords,
    server: RedisServer,
    memory: MemoryJob,
    segments: readonly (number | null)[],
  ) {
    this.#records = records;
    this.#server = server;
    this.#memory = memory;
    this.#segments = segments;
    const { id: jobId, pipeline } = memory.order;
    this.#open = segments.map((_, file) => ({ kind: 'split', jobId, pipeline, file }));
  }

  static async open(
    records: JobRecords,
    server: RedisServer,
    order: JobOrder,
    segments: readonly (number | null)[],
  ): Promise<JobWalk> {
    await records.open(order);
    return new JobWalk(records, server, new MemoryJob(order, await orderDigest(order)), segments);
  }

  get hasOpen(): boolean {
    return this.#open.length > 0;
  }

  async facts(): Promise<JobFacts> {
    return (await this.#records.facts(this.#memory.order.id)).facts;
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
    const inMemory = this.#memory.facts();
    const inRedis = await this.facts();
    expect(withoutTimes(inRedis), what).toEqual(withoutTimes(inMemory));
    expect(jobReportOf(inRedis).state, what).toBe(jobReportOf(inMemory).state);
  }

  async #begin(task: Task): Promise<void> {
    this.#begun.add(task);
    this.#memory.begin(task, Date.now());
    expect(await this.#records.begin(task, await this.#lock(task))).toMatchObject({ verdict: 'run' });
  }

  async #progress(task: Task, frames: number): Promise<void> {
    if (task.kind !== 'segment') return;
    if (!this.#begun.has(task)) await this.#begin(task);
    this.#memory.progress(task, frames);
    await this.#records.tick(QUEUE_KEYS, { lockMs: 6_000, stalledMs: 2_500 }, [
      { jobId: task.jobId, lock: await this.#lock(task), frames },
    ]);
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
    const lock = await this.#lock(task);
    if (next !== null) expect(await this.#records.plan(task, lock, next.segments.length)).toBe('ok');
    const completion = task.kind === 'split' ? splitCompletion(next?.segments.length ?? null) : task.kind;
    expect(await this.#records.finish(task, lock, completion, frames)).toBe('ok');
    return this.#memory.finish(task, frames, next, Date.now());
  }

  async #fail(task: Task): Promise<void> {
    if (!this.#begun.delete(task)) await this.#begin(task);
    const { jobId, kind } = task;
    const letter: DeadLetter = {
      taskId: taskId(task),
      jobId,
      kind,
      input: '/videos/a.mp4',
      reason: 'no luck',
      attempts: 1,
      failedMs: 1_000,
    };
    this.#memory.addDeadLetter(task, letter, Date.now());
    expect(await this.#records.addDeadLetter(letter, await this.#lock(task))).toBe('ok');
    this.#open = this.#open.filter((other) => other !== task);
    this.#dead.push(task);
  }

  async #retry(): Promise<void> {
    await this.#records.requeue(this.#memory.order.id, await this.#records.deadLetters(this.#memory.order.id));
    expect(this.#memory.requeue(Date.now())).toEqual(this.#dead);
    this.#open.push(...this.#dead);
    this.#dead = [];
  }

  /** Locks a task as BullMQ does when a worker takes it. */
  async #lock(task: Task): Promise<TaskLock> {
    const id = taskId(task);
    await this.#server.admin.set(lockKeyOf(QUEUE_KEYS, id), TOKEN);
    return { queueKeys: QUEUE_KEYS, taskId: id, token: TOKEN };
  }
}

/** Redis has a clock of its own; which of the times are set must be the same. */
function withoutTimes({ startedMs, finishedMs, busyMs, ...facts }: JobFacts) {
  return { ...facts, hasStarted: startedMs !== null, hasFinished: finishedMs !== null };
}
