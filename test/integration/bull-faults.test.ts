import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JobState } from '../../src/wire/protocol/fleet.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { jobOrderOf, ScriptedHandler } from '../support/task-handlers.ts';
import { TaskHost, type TaskHostSettings } from '../support/task-host.ts';
import { type OpenQueue, openBullTasks } from '../support/task-queues.ts';
import { waitFor } from '../support/wait-for.ts';

/** A tenth of the defaults, so that a frozen host loses its tasks soon. */
const TIMINGS = { lockMs: 1_000, stalledMs: 400, tickMs: 100, deafMs: 1_000 };
/** One attempt: a fault that wrongly costs the task an attempt makes a dead letter. */
const POLICY = { attempts: 1 };
const FLEET = 'faults';

describe.skipIf(redisMissing !== null)('bulk work under faults', () => {
  let server: RedisServer;
  let queue: OpenQueue & { readonly notices: readonly string[] };
  const hosts: TaskHost[] = [];

  beforeEach(async () => {
    server = await RedisServer.open({ isDurable: true });
    queue = await openBullTasks(server.url, FLEET, { timings: TIMINGS, policy: POLICY }, 1_000);
  });

  afterEach(async () => {
    server.resume();
    await Promise.all(hosts.splice(0).map((host) => host.end()));
    await queue.close();
    await server.close();
  });

  async function startHost(more: Partial<TaskHostSettings> = {}): Promise<TaskHost> {
    const settings = { url: server.url, name: FLEET, timings: TIMINGS, policy: POLICY };
    const host = new TaskHost({ ...settings, segments: 3, segmentMs: 50, frames: 10, isStubborn: false, ...more });
    hosts.push(host);
    await host.says('ready');
    return host;
  }

  function untilState(jobId: string, state: JobState): Promise<number> {
    const isThere = async (): Promise<boolean> => {
      const job = await queue.tasks.job(jobId).catch(() => null);
      return job?.report.state === state;
    };
    const explain = async (): Promise<string> =>
      `${JSON.stringify(await queue.tasks.job(jobId))} ${hosts.map(({ lines }) => lines.join('\n')).join('\n---\n')}`;
    return waitFor(`job ${jobId} is ${state}`, isThere, { deadlineMs: 50_000 }, explain);
  }

  it('a killed host’s task runs on another, without costing an attempt', async () => {
    const first = await startHost({ segmentMs: 60_000 });
    await queue.tasks.submit(jobOrderOf('a', 1));
    await first.says('begun a/segment 0.0');
    await first.end('SIGKILL');
    const second = await startHost();
    const tookMs = await untilState('a', 'done');
    console.log(`done ${Math.round(tookMs)} ms after the next host was ready (lock ${TIMINGS.lockMs} ms)`);
    await second.says('ended a/segment 0.0');
    expect((await queue.tasks.job('a')).report).toMatchObject({ segmentsDone: 3, frames: 30, deadLetters: 0 });
  });

  it('a task survives many hosts', async () => {
    await queue.tasks.submit(jobOrderOf('a', 1));
    for (let i = 0; i < 4; i++) {
      const host = await startHost({ segmentMs: 60_000, segments: 1 });
      await host.says('begun a/segment 0.0');
      await host.end('SIGKILL');
    }
    await startHost({ segments: 1 });
    await untilState('a', 'done');
    expect((await queue.tasks.job('a')).report.deadLetters).toBe(0);
  });

  it('a frozen host that resumes is stopped, and what it finishes anyway does not count', async () => {
    const frozen = await startHost({ segmentMs: 60_000, segments: 1, frames: 999, isStubborn: true });
    await queue.tasks.submit(jobOrderOf('a', 1));
    await frozen.says('begun a/segment 0.0');
    frozen.freeze();
    // The other host still runs the task when the frozen one resumes.
    const other = await startHost({ segments: 1, segmentMs: 4_000 });
    await other.says('begun a/segment 0.0');
    frozen.thaw();
    await frozen.says('stopped a/segment 0.0');
    await frozen.says('ended a/segment 0.0');
    await untilState('a', 'done');
    await other.says('ended a/segment 0.0');
    expect((await queue.tasks.job('a')).report).toMatchObject({ segmentsDone: 1, frames: 10, deadLetters: 0 });

    await other.end('SIGTERM');
    await queue.tasks.submit(jobOrderOf('b', 1));
    await frozen.says('begun b/segment 0.0');
  });

  it('a host that shuts down cleanly returns its task at once', async () => {
    const first = await startHost({ segmentMs: 60_000 });
    await queue.tasks.submit(jobOrderOf('a', 1));
    await first.says('begun a/segment 0.0');
    await first.end('SIGTERM');
    expect(await queue.tasks.counts('bulk')).toMatchObject({ waiting: 3, active: 0 });
    await startHost();
    await untilState('a', 'done');
    expect((await queue.tasks.job('a')).report.deadLetters).toBe(0);
  });

  it('cancel stops a task in another process', async () => {
    const host = await startHost({ segmentMs: 60_000 });
    await queue.tasks.submit(jobOrderOf('a', 1));
    await host.says('begun a/segment 0.0');
    await queue.tasks.cancel('a');
    await host.says('stopped a/segment 0.0');
    await waitFor('nothing runs', async () => (await queue.tasks.counts('bulk')).active === 0);
    expect(await queue.tasks.counts('bulk')).toMatchObject({ waiting: 0 });
  });

  it('work continues after Redis was killed and restarted', async () => {
    const host = await startHost({ segments: 10, segmentMs: 200 });
    await queue.tasks.submit(jobOrderOf('a', 2));
    await host.says('ended a/segment 0.1');
    await server.kill();
    await expect(queue.tasks.jobs()).rejects.toMatchObject({ code: 'CONTROL_UNREACHABLE' });
    await expect(queue.tasks.submit(jobOrderOf('b', 1))).rejects.toMatchObject({ code: 'CONTROL_UNREACHABLE' });
    await sleep(2 * TIMINGS.lockMs);
    await server.start();
    await untilState('a', 'done');
    expect((await queue.tasks.job('a')).report).toMatchObject({ segmentsDone: 20, frames: 200, deadLetters: 0 });
    expect(host.hasEnded).toBe(false);
  });

  it('work continues after Redis was frozen for longer than any lock', async () => {
    const host = await startHost({ segments: 10, segmentMs: 200 });
    await queue.tasks.submit(jobOrderOf('a', 2));
    await host.says('ended a/segment 0.1');
    server.pause();
    await expect(queue.tasks.job('a')).rejects.toMatchObject({ code: 'CONTROL_UNREACHABLE' });
    await sleep(5 * TIMINGS.lockMs);
    server.resume();
    await untilState('a', 'done');
    expect((await queue.tasks.job('a')).report).toMatchObject({ segmentsDone: 20, frames: 200, deadLetters: 0 });
    expect(host.hasEnded).toBe(false);
  });

  it('work continues after everything was killed and restarted', async () => {
    const host = await startHost({ segments: 10, segmentMs: 100 });
    await queue.tasks.submit(jobOrderOf('a', 2));
    await host.says('ended a/segment 0.4');
    await Promise.all([host.end('SIGKILL'), server.kill()]);
    await server.start();
    const next = await startHost({ segments: 10, segmentMs: 100 });
    await untilState('a', 'done');
    expect((await queue.tasks.job('a')).report).toMatchObject({ segmentsDone: 20, frames: 200, deadLetters: 0 });
    expect(next.lines).not.toContain('begun a/segment 0.0');
    expect(next.lines).not.toContain('begun a/split 0');
  });

  it('a worker that receives no tasks is replaced', async () => {
    const { tasks, notices } = queue;
    await tasks.submit(jobOrderOf('a', 1));
    // Pauses the queue itself: workers get nothing although tasks wait.
    const other = new Queue('bulk', { connection: server.admin, prefix: `{${FLEET}}:bull` });
    await other.pause();
    const handler = new ScriptedHandler(1);
    const worker = tasks.work('bulk', 1, handler.handle);
    await waitFor('it is replaced', () =>
      notices.some((text) => text.includes('took no task although some wait; replaced')),
    );
    expect(handler.begun).toEqual([]);
    await other.resume();
    await untilState('a', 'done');
    await worker.close();
  });
});
