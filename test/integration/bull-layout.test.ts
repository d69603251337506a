import { readFileSync } from 'node:fs';
import { FlowProducer, type Job, type JobsOptions, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  BULL_LUA,
  lockKeyOf,
  PRIORITY_STEP,
  queueKeysOf,
  resetStalls,
  taskKeyOf,
  waitKeyOf,
} from '../../src/fleet/control/redis/bull-layout.ts';
import { RedisScript } from '../../src/fleet/control/redis/redis-script.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { waitFor } from '../support/wait-for.ts';

const { version } = JSON.parse(readFileSync('node_modules/bullmq/package.json', 'utf8')) as { version: string };
/** Where to look if a release of BullMQ breaks a test of this file. */
const CHANGED = `BullMQ ${version} differs from src/fleet/control/redis/bull-layout.ts in`;
const PREFIX = '{layout}:bull';
const LOCK_MS = 60_000;

/** Makes a function of `BULL_LUA` callable: it gets all arguments as text. */
function lua(call: string): RedisScript {
  return new RedisScript(`${BULL_LUA}\nreturn ${call}`);
}

const scripts = {
  ready: lua('bull.ready(ARGV[1])'),
  delayed: lua('bull.delayed(ARGV[1])'),
  active: lua('bull.active(ARGV[1])'),
  heads: lua('bull.heads(ARGV[1])'),
  addedMs: lua("string.format('%.0f', bull.addedMs(ARGV[1], ARGV[2]) or -1)"),
  mendClock: lua('bull.mendClock(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))'),
  holds: lua('bull.holds(ARGV[1], ARGV[2], ARGV[3]) and 1 or 0'),
};

/** Uses BullMQ by its documented calls, and reads what it stored by `bull-layout.ts`. */
describe.skipIf(redisMissing !== null)('the layout of BullMQ’s keys', () => {
  let server: RedisServer;
  let queue: Queue;
  let worker: Worker;
  let connection: Redis;
  let name = '';
  let queues = 0;

  beforeAll(async () => {
    server = await RedisServer.open();
  });
  afterAll(() => server.close());

  beforeEach(() => {
    queues += 1;
    name = `street%20${queues}`;
    connection = new Redis({ port: server.port, host: '127.0.0.1', maxRetriesPerRequest: null });
    queue = new Queue(name, { connection, prefix: PREFIX });
    const options = { connection, prefix: PREFIX, lockDuration: LOCK_MS, stalledInterval: 50, maxStalledCount: 100 };
    // It takes a task only when a test asks for the next one.
    worker = new Worker(name, null, { ...options, autorun: false });
  });
  afterEach(async () => {
    await worker.close();
    await queue.close();
    connection.disconnect();
  });

  const keys = (): string => queueKeysOf(PREFIX, name);
  const ask = (script: keyof typeof scripts, ...args: string[]): Promise<unknown> =>
    scripts[script].run(server.admin, '{layout}', [keys(), ...args]);
  const holds = async (jobId: string, token: string): Promise<boolean> => (await ask('holds', jobId, token)) === 1;

  async function add(jobId: string, more: JobsOptions = {}): Promise<Job> {
    return queue.add('segment', {}, { jobId, ...more });
  }

  async function take(token: string): Promise<Job> {
    const job = await worker.getNextJob(token, { block: false });
    if (job === undefined) throw new Error('the queue has no task');
    return job;
  }

  /** Lets the lock of a task expire, as if its worker could not reach Redis. */
  async function expireLock(job: Job, token: string): Promise<void> {
    await job.extendLock(token, 1);
    await waitFor(
      `the lock ${lockKeyOf(keys(), job.id!)} expires`,
      async () => (await server.admin.exists(lockKeyOf(keys(), job.id!))) === 0,
    );
  }

  it('begins every key with the prefix and the name of the queue', async () => {
    expect(keys(), `${CHANGED} the names of keys`).toBe(queue.toKey(''));
    expect(waitKeyOf(keys()), `${CHANGED} the names of keys`).toBe(queue.toKey('wait'));
    await add('a/segment/0/1');
    const type = await server.admin.type(taskKeyOf(keys(), 'a/segment/0/1'));
    expect(type, `${CHANGED} the key of a task`).toBe('hash');
  });

  it('lists ready tasks without a priority in `wait`, the next one at the right end', async () => {
    for (const id of ['first', 'second', 'third']) await add(id);
    expect(await ask('ready'), `${CHANGED} the list of ready tasks`).toBe(3);
    expect(await ask('heads'), `${CHANGED} the order of ready tasks`).toEqual(['first']);
    expect(await server.admin.lrange(waitKeyOf(keys()), 0, -1)).toEqual(['third', 'second', 'first']);
    expect((await take('t')).id).toBe('first');
    expect(await ask('ready')).toBe(2);
  });

  it('sorts ready tasks by priority and then by arrival, with 2^32 between two priorities', async () => {
    const priorities = { 'low 1': 3003, 'high 1': 1, last: 2 ** 21 - 1, 'low 2': 3003, 'high 2': 1, middle: 2 };
    for (const [id, priority] of Object.entries(priorities)) await add(id, { priority });
    expect(await ask('ready'), `${CHANGED} the set of tasks with a priority`).toBe(6);
    expect(await ask('heads'), `${CHANGED} the scores of priorities`).toEqual(['high 1', 'middle', 'low 1', 'last']);
    for (const [arrivals, [id, priority]] of Object.entries(priorities).entries()) {
      const score = Number(await server.admin.zscore(queue.toKey('prioritized'), id));
      expect(score, `${CHANGED} the score of priority ${priority}`).toBe(priority * PRIORITY_STEP + arrivals + 1);
    }
    const taken = [await take('t'), await take('t'), await take('t'), await take('t')];
    expect(taken.map(({ id }) => id)).toEqual(['high 1', 'high 2', 'middle', 'low 1']);
    expect(await ask('heads')).toEqual(['low 2', 'last']);
  });

  it('puts a task that a worker returned before the others of its priority', async () => {
    for (const [id, priority] of Object.entries({ a: 1, b: 1, c: 2 })) await add(id, { priority });
    const job = await take('t');
    await job.moveToWait('t');
    expect(await ask('heads'), `${CHANGED} the score of a returned task`).toEqual(['a', 'c']);
    expect(await holds('a', 't')).toBe(false);
  });

  it('keeps delayed tasks apart, the first due first', async () => {
    await add('late', { delay: 900_000 });
    await add('soon', { delay: 600_000 });
    await add('ready', { priority: 5 });
    expect(await ask('delayed'), `${CHANGED} the set of delayed tasks`).toBe(2);
    expect(await ask('ready')).toBe(1);
    expect(await ask('heads'), `${CHANGED} the order of delayed tasks`).toEqual(['soon', 'ready']);
  });

  it('delays a failed task until its next attempt', async () => {
    await add('a', { attempts: 2, backoff: 600_000, priority: 1 });
    const job = await take('t');
    await job.moveToFailed(new Error('the disk was full'), 't');
    expect(await ask('delayed'), `${CHANGED} the back-off of failed tasks`).toBe(1);
    expect(await ask('active')).toBe(0);
  });

  it('does not count a parent that waits for its children as ready', async () => {
    const flows = new FlowProducer({ connection, prefix: PREFIX });
    const node = (jobId: string) => ({ name: 'task', queueName: name, data: {}, opts: { jobId, priority: 1 } });
    await flows.add({ ...node('merge'), children: [node('split')] });
    expect(await ask('ready'), `${CHANGED} the place of parents`).toBe(1);
    expect(await ask('heads')).toEqual(['split']);
    const split = await take('t');
    await split.moveToCompleted(null, 't', false);
    expect(await ask('heads')).toEqual(['merge']);
    await flows.close();
  });

  it('stores when a task was added in `timestamp`, in ms', async () => {
    const job = await add('a');
    expect(await ask('addedMs', 'a'), `${CHANGED} the time of a task`).toBe(String(job.timestamp));
    await add('b', { timestamp: 1_700_000_000_123, priority: 2 });
    expect(await ask('addedMs', 'b')).toBe('1700000000123');
    expect(await ask('addedMs', 'no such task')).toBe('-1');
  });

  it('locks a taken task with the token of its worker, until it completes', async () => {
    await add('a', { priority: 1 });
    expect(await holds('a', 't')).toBe(false);
    const job = await take('t');
    expect(await ask('active'), `${CHANGED} the list of active tasks`).toBe(1);
    expect(await server.admin.get(lockKeyOf(keys(), 'a')), `${CHANGED} the lock of a task`).toBe('t');
    expect(await server.admin.pttl(lockKeyOf(keys(), 'a'))).toBeGreaterThan(0);
    expect(await holds('a', 't')).toBe(true);
    expect(await holds('a', 'another worker')).toBe(false);
    await job.moveToCompleted(null, 't', false);
    expect(await ask('active')).toBe(0);
    expect(await holds('a', 't'), 'a completed task is not locked again').toBe(false);
    expect(await server.admin.exists(lockKeyOf(keys(), 'a'))).toBe(0);
  });

  it('accepts a lock that was taken again: it is renewed, and its task completes', async () => {
    await add('a', { priority: 1 });
    const job = await take('t');
    await expireLock(job, 't');
    expect(await holds('a', 't'), `${CHANGED} the list of active tasks`).toBe(true);
    expect(await server.admin.pttl(lockKeyOf(keys(), 'a'))).toBeGreaterThan(0);
    expect(await job.extendLock('t', LOCK_MS), `${CHANGED} the lock of a task`).toBe(1);
    await job.moveToCompleted(null, 't', false);
    expect(await job.isCompleted()).toBe(true);
  });

  it('finds tasks of dead hosts although the clock of Redis went back by an hour', async () => {
    await add('a', { priority: 1 });
    const job = await take('t');
    await worker.startStalledCheckTimer();
    const check = `${keys()}stalled-check`;
    await waitFor('a search for expired locks', async () => (await server.admin.exists(check)) === 1);
    // What is left of keys that were written while the clock was ahead.
    await server.admin.pexpire(check, 3_600_000);
    await server.admin.pexpire(lockKeyOf(keys(), 'a'), 3_600_000);
    expect(await ask('mendClock', '40', '40'), `${CHANGED} the keys that expire`).toBe(2);
    await waitFor('the task is ready again', async () => (await job.getState()) !== 'active');
    expect(await ask('mendClock', '60000', '60000'), 'usual times are left alone').toBe(0);
  });

  it('counts expired locks in `stc`, and takes the task from the active list', async () => {
    await add('a', { priority: 1 });
    const job = await take('t');
    await expireLock(job, 't');
    await worker.startStalledCheckTimer();
    await waitFor('the task is ready again', async () => (await job.getState()) !== 'active');
    expect(await ask('ready'), `${CHANGED} the place of stalled tasks`).toBe(1);
    expect(await holds('a', 't'), 'its worker has lost it').toBe(false);
    expect((await queue.getJob('a'))?.stalledCounter).toBe(1);
    await resetStalls(server.admin, keys(), 'a');
    expect((await queue.getJob('a'))?.stalledCounter, `${CHANGED} the count of stalls`).toBe(0);
  });
});
