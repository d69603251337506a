import { Queue } from 'bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TaskHandler } from '../../src/fleet/control/control-plane.ts';
import {
  lockKeyOf,
  queueKeysOf,
  STALLS_FIELD,
  taskKeyOf,
  waitKeyOf,
} from '../../src/fleet/control/redis/bull-layout.ts';
import type { TaskPolicy } from '../../src/fleet/control/tasks/task-policy.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { jobOrderOf, ScriptedHandler, untilAborted } from '../support/task-handlers.ts';
import { type OpenBullQueue, openBullTasks } from '../support/task-queues.ts';
import { waitFor } from '../support/wait-for.ts';

const TIMINGS = { tickMs: 50 };
const QUICK = { firstRetryMs: 20, maxRetryMs: 40 };

describe.skipIf(redisMissing !== null)('bulk work in Redis', () => {
  let server: RedisServer;
  let queue: OpenBullQueue;
  let fleet = 0;

  beforeAll(async () => {
    server = await RedisServer.open();
  });
  afterAll(() => server.close());

  beforeEach(() => {
    fleet += 1;
    return openQueue();
  });
  afterEach(() => queue.close());

  async function openQueue(policy: Partial<TaskPolicy> = {}): Promise<void> {
    queue = await openBullTasks(server.url, `f${fleet}`, { timings: TIMINGS, policy: { ...QUICK, ...policy } });
  }

  const key = (rest: string): string => `{f${fleet}}:${rest}`;
  const queueKeys = (): string => queueKeysOf(key('bull'), 'bulk');
  const done = (jobId: string): Promise<number> => untilState(jobId, 'done');

  function untilState(jobId: string, state: string): Promise<number> {
    return waitFor(
      `job ${jobId} is ${state}`,
      async () => (await queue.tasks.job(jobId)).report.state === state,
      { deadlineMs: 40_000 },
      async () => JSON.stringify(await queue.tasks.job(jobId)),
    );
  }

  function work(handler: TaskHandler, concurrency = 2): void {
    queue.tasks.work('bulk', concurrency, handler);
  }

  it('a closed worker is forgotten, so that a process that opens and closes many keeps none', async () => {
    const handler = new ScriptedHandler(1);
    const workers = Array.from({ length: 3 }, () => queue.tasks.work('bulk', 1, handler.handle));
    expect(queue.tasks.workerCount).toBe(3);
    await workers[1]!.close();
    expect(queue.tasks.workerCount).toBe(2);
    await Promise.all([workers[1]!.close(), ...workers.map((worker) => worker.close())]);
    expect(queue.tasks.workerCount).toBe(0);
    // The queue still works: a worker that is opened afterwards takes tasks.
    await queue.tasks.submit(jobOrderOf('after', 1));
    work(handler.handle);
    await done('after');
    expect(queue.tasks.workerCount).toBe(1);
  });

  it('a malformed task becomes a dead letter, and the next one runs', async () => {
    await queue.tasks.submit(jobOrderOf('a', 2));
    await server.admin.hset(taskKeyOf(queueKeys(), 'a/split/0'), 'data', '{"kind":"split","jobId":"a","file":"zero"}');
    work(new ScriptedHandler(1).handle);
    await untilState('a', 'failed');
    const { report, deadLetters } = await queue.tasks.job('a');
    expect(report).toMatchObject({ filesDone: 1, deadLetters: 1 });
    expect(deadLetters).toMatchObject([{ taskId: 'a/split/0', kind: 'split', input: '/videos/a-0.mp4', attempts: 1 }]);
    expect(deadLetters[0]?.reason).toMatch(/^PROTOCOL_INVALID: task a\/split\/0: /);
  });

  it('foreign entries in the queue are discarded and reported', async () => {
    const other = new Queue('bulk', { connection: server.admin, prefix: key('bull') });
    await other.add('split', { any: 'thing' });
    await other.add(
      'split',
      { kind: 'split', jobId: 'nobody', pipeline: 'bulk', file: 0 },
      { jobId: 'nobody/split/0' },
    );
    const handler = new ScriptedHandler(1);
    work(handler.handle);
    await waitFor('both are gone', async () => (await other.getJobCountByTypes('prioritized', 'wait', 'active')) === 0);
    await queue.tasks.submit(jobOrderOf('a', 1));
    await done('a');
    expect(handler.begun).toEqual(['a/split 0', 'a/segment 0.0', 'a/merge 0']);
    expect(queue.notices.join('\n')).toContain('discarded');
    expect(await other.getFailed()).toEqual([]);
  });

  it.each<[string, 'json' | 'schema', Record<string, string>]>([
    [
      'data that is not JSON',
      'json',
      { name: 'split', data: 'not JSON', opts: '{}', timestamp: '1', delay: '0', priority: '0' },
    ],
    [
      'settings that are not JSON',
      'json',
      { name: 'split', data: '{}', opts: '{', timestamp: '1', delay: '0', priority: '0' },
    ],
    ['progress that is not JSON', 'json', { name: 'split', data: '{}', opts: '{}', progress: '{', timestamp: 'x' }],
    ['nothing at all', 'schema', { foreign: '1' }],
    [
      'data that is a number',
      'schema',
      { name: 'split', data: '1e999', opts: '[]', timestamp: '-1', delay: 'x', priority: '-5' },
    ],
  ])(
    'a task that BullMQ cannot read (%s) is counted, ends no worker, and the next one runs',
    async (_, reason, entry) => {
      await server.admin.hset(taskKeyOf(queueKeys(), '99'), entry);
      await server.admin.lpush(waitKeyOf(queueKeys()), '99');
      const handler = new ScriptedHandler(1);
      work(handler.handle);
      await queue.tasks.submit(jobOrderOf('a', 1));
      await done('a');
      expect(handler.begun).toEqual(['a/split 0', 'a/segment 0.0', 'a/merge 0']);
      const counted = queue.incidents.refusals.filter(({ count }) => count > 0);
      expect(counted).toEqual([{ channel: 'redis-record', reason, count: expect.any(Number) }]);
    },
  );

  it('a task that is not JSON is discarded, or becomes a dead letter of its job, and is counted once', async () => {
    await queue.tasks.submit(jobOrderOf('a', 2));
    await server.admin.hset(taskKeyOf(queueKeys(), 'a/split/0'), 'data', '{"kind":');
    await server.admin.hset(taskKeyOf(queueKeys(), '99'), { name: 'x', data: '<xml/>', opts: '{}', timestamp: '1' });
    await server.admin.lpush(waitKeyOf(queueKeys()), '99');
    work(new ScriptedHandler(1).handle);
    await untilState('a', 'failed');
    expect((await queue.tasks.job('a')).deadLetters).toMatchObject([
      { taskId: 'a/split/0', reason: expect.stringContaining('data: expected JSON') },
    ]);
    await waitFor('the other is gone', async () => (await server.admin.exists(taskKeyOf(queueKeys(), '99'))) === 0);
    const counted = queue.incidents.refusals.filter(({ count }) => count > 0);
    expect(counted).toEqual([{ channel: 'redis-record', reason: 'json', count: 2 }]);
  });

  it.each([
    ['inputs', '9e15'],
    ['inputs', '-1'],
    ['segments', 'many'],
    ['frames', '1e400'],
    ['startedMs', 'yesterday'],
    ['head', '{'],
  ])('a job record with a malformed %s does not affect other jobs: %s', async (field, value) => {
    await queue.tasks.submit(jobOrderOf('good', 1));
    await queue.tasks.submit(jobOrderOf('bad', 1));
    await server.admin.hset(key('job:bad'), field, value);
    const ids = (await queue.tasks.jobs()).map(({ id }) => id);
    expect(ids).toContain('good');
    await queue.tasks.cancel('bad').catch((error: { code: string }) => expect(error.code).toBe('JOB_NOT_FOUND'));
    await queue.tasks.cancel('good');
    expect((await queue.tasks.job('good')).report.state).toBe('cancelled');
  });

  it('a malformed record is omitted from the list and reported', async () => {
    await queue.tasks.submit(jobOrderOf('good', 1));
    await queue.tasks.submit(jobOrderOf('bad', 1));
    await server.admin.hset(key('job:bad'), 'head', '{"id":7');
    expect((await queue.tasks.jobs()).map(({ id }) => id)).toEqual(['good']);
    await expect(queue.tasks.job('bad')).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
    expect(queue.notices.join('\n')).toContain('order of job "bad"');
  });

  it('an unreadable order makes dead letters and does not stop the worker', async () => {
    await queue.tasks.submit(jobOrderOf('bad', 1));
    await queue.tasks.submit(jobOrderOf('good', 1));
    await server.admin.hset(key('job:bad:inputs'), '0', '[1]');
    work(new ScriptedHandler(1).handle);
    await done('good');
    const letters = await server.admin.hvals(key('job:bad:dead'));
    expect(letters.join()).toContain('CONFIG_INVALID: inputs of job');
  });

  it('an interrupted submission is completed by repeating it', async () => {
    const order = jobOrderOf('a', 3);
    await queue.tasks.submit(order);
    // As if the first had stopped before its last tasks and inputs were stored.
    await server.admin.hdel(key('job:a'), 'queued');
    await server.admin.del(key('job:a:inputs'));
    const other = new Queue('bulk', { connection: server.admin, prefix: key('bull') });
    await other.remove('a/split/2');
    await queue.tasks.submit({ ...order, createdMs: 9_000 });
    expect((await queue.tasks.counts('bulk')).waiting).toBe(3);
    const handler = new ScriptedHandler(1);
    work(handler.handle);
    await done('a');
    expect(handler.begun).toHaveLength(9);
    expect((await queue.tasks.job('a')).order).toEqual(order);
  });

  it('a file of thousands of segments is merged after the last', async () => {
    const handler = new ScriptedHandler(2_300);
    work(handler.handle, 20);
    await queue.tasks.submit(jobOrderOf('a', 1));
    await done('a');
    expect(handler.begun).toHaveLength(2_302);
    expect(handler.begun.at(-1)).toBe('a/merge 0');
    expect((await queue.tasks.job('a')).report).toMatchObject({ segmentsDone: 2_300, frames: 23_000 });
  });

  it('a split that runs again after a crash duplicates nothing', async () => {
    let crashes = 1;
    const handler = new ScriptedHandler(2, async (task) => {
      if (task.kind === 'segment' && crashes > 0) {
        crashes -= 1;
        // Makes the split open again, as if its host had died before reporting it as done.
        await server.admin.setbit(key('job:a:split'), 0, 0);
        await server.admin.hincrby(key('job:a'), 'splits', -1);
        const other = new Queue('bulk', { connection: server.admin, prefix: key('bull') });
        const data = { kind: 'split', jobId: 'a', pipeline: 'bulk', file: 0 };
        await other.add('split', data, { jobId: 'a/split/0' });
      }
      return undefined;
    });
    await queue.tasks.submit(jobOrderOf('a', 1));
    work(handler.handle, 1);
    await done('a');
    expect(handler.begun.filter((name) => name === 'a/split 0')).toHaveLength(2);
    expect((await queue.tasks.job('a')).report).toMatchObject({
      segments: 2,
      segmentsDone: 2,
      frames: 20,
      filesDone: 1,
    });
    expect(handler.begun.filter((name) => name === 'a/merge 0')).toHaveLength(1);
  });

  it('a night’s pause does not distort the estimate', async () => {
    const handler = new ScriptedHandler(4, async (task) => {
      if (task.kind === 'segment' && task.span.index === 2)
        await server.admin.hincrby(key('job:a'), 'lastMs', -8 * 3_600_000);
      if (task.kind === 'segment' && task.span.index === 3) await gate;
      return undefined;
    });
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    await queue.tasks.submit(jobOrderOf('a', 1));
    work(handler.handle, 1);
    await waitFor('three are done', async () => (await queue.tasks.job('a')).report.segmentsDone === 3);
    // Milliseconds for two of them, and five seconds instead of eight hours for the third.
    const { secondsLeft } = (await queue.tasks.job('a')).report;
    expect(secondsLeft).toBeGreaterThan(1.6);
    expect(secondsLeft).toBeLessThan(60);
    release();
    await done('a');
  });

  it('a clock of Redis that went back does not make a job unreadable', async () => {
    const handler = new ScriptedHandler(2, async (task) => {
      if (task.kind === 'segment') await server.admin.hincrby(key('job:a'), 'lastMs', 3_600_000);
      return undefined;
    });
    await queue.tasks.submit(jobOrderOf('a', 1));
    work(handler.handle, 1);
    await done('a');
    expect((await queue.tasks.jobs()).map(({ id }) => id)).toEqual(['a']);
  });

  it('frames of a file that is inferred as a whole count instead of those of its segments', async () => {
    const handler = new ScriptedHandler(3, async (task) =>
      task.kind === 'merge' && task.file === 1 ? { frames: 25, next: null } : undefined,
    );
    await queue.tasks.submit(jobOrderOf('a', 2));
    work(handler.handle);
    await done('a');
    expect((await queue.tasks.job('a')).report).toMatchObject({ filesDone: 2, frames: 55 });
  });

  it('a second split with another number of segments is an error', async () => {
    await queue.tasks.submit(jobOrderOf('a', 1));
    await server.admin.hset(key('job:a:files'), '0', '0 5');
    work(new ScriptedHandler(2).handle);
    await untilState('a', 'failed');
    expect((await queue.tasks.job('a')).deadLetters[0]?.reason).toMatch(/^SEGMENT_MISMATCH: .*expected 5 segments/);
  });

  it('a task that took many hosts down becomes a dead letter, and runs again on retry', async () => {
    await queue.tasks.submit(jobOrderOf('a', 1));
    await server.admin.hset(taskKeyOf(queueKeys(), 'a/split/0'), STALLS_FIELD, 21);
    const handler = new ScriptedHandler(1);
    work(handler.handle);
    await untilState('a', 'failed');
    expect(handler.begun).toEqual([]);
    expect((await queue.tasks.job('a')).deadLetters[0]?.reason).toContain('21 hosts died or froze');
    expect(await queue.tasks.retry('a')).toBe(1);
    await done('a');
  });

  it('a worker that lost its lock is aborted, and counts nothing', async () => {
    const handler = new ScriptedHandler(1, async (task, { signal }, attempt) => {
      if (task.kind === 'segment' && attempt === 1) await untilAborted(signal);
      return undefined;
    });
    await queue.tasks.submit(jobOrderOf('a', 1));
    work(handler.handle);
    await waitFor('the segment runs', () => handler.begun.length === 2);
    await server.admin.set(lockKeyOf(queueKeys(), 'a/segment/0/0'), 'another worker', 'PX', 500);
    await done('a');
    expect(handler.begun.filter((name) => name === 'a/segment 0.0')).toHaveLength(2);
    expect((await queue.tasks.job('a')).report).toMatchObject({ frames: 10, deadLetters: 0 });
  });

  it('a lock that expired while Redis was unreachable is taken again if no other worker has it', async () => {
    const handler = new ScriptedHandler(1, async (task, { signal }) => {
      if (task.kind !== 'segment') return undefined;
      await server.admin.del(lockKeyOf(queueKeys(), 'a/segment/0/0'));
      await waitFor(
        'it is locked again',
        async () => (await server.admin.exists(lockKeyOf(queueKeys(), 'a/segment/0/0'))) === 1,
      );
      expect(signal.aborted).toBe(false);
      return undefined;
    });
    await queue.tasks.submit(jobOrderOf('a', 1));
    work(handler.handle);
    await done('a');
    expect(handler.begun).toEqual(['a/split 0', 'a/segment 0.0', 'a/merge 0']);
  });

  it('removed jobs leave nothing in Redis', async () => {
    await queue.close();
    await openQueue({ keepJobs: 1, attempts: 1 });
    const handler = new ScriptedHandler(3, async (task, { signal }) => {
      if (task.jobId === 'bad' && task.kind === 'segment' && task.span.index === 1) throw new Error('no');
      if (task.jobId === 'cancelled' && task.kind === 'segment') await untilAborted(signal);
      return undefined;
    });
    work(handler.handle);
    await queue.tasks.submit(jobOrderOf('bad', 3));
    await untilState('bad', 'failed');
    await queue.tasks.submit(jobOrderOf('good', 3, { createdMs: 2_000 }));
    await done('good');
    await queue.tasks.submit(jobOrderOf('cancelled', 3, { createdMs: 3_000 }));
    await waitFor('it runs', () => handler.begun.includes('cancelled/segment 0.0'));
    await queue.tasks.cancel('cancelled');
    await waitFor('nothing runs', async () => (await queue.tasks.counts('bulk')).active === 0);
    await queue.tasks.submit(jobOrderOf('last', 1, { createdMs: 4_000 }));
    await done('last');
    expect((await queue.tasks.jobs()).map(({ id }) => id)).toEqual(['last']);
    const left = await server.admin.keys(`${key('').replace('{', '\\{')}*`);
    expect(left.filter((name) => /bad|good|cancelled/.test(name))).toEqual([]);
    const other = new Queue('bulk', { connection: server.admin, prefix: key('bull') });
    expect(await other.getJobCounts('failed', 'waiting-children')).toEqual({ failed: 0, 'waiting-children': 0 });
  });
});
