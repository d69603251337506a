import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { jobOrderOf, ScriptedHandler } from '../../../../support/task-handlers.ts';
import { memoryTasks } from '../../../../support/task-queues.ts';

/** Long enough for handlers that wait only for each other. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

describe('the task queue in memory, on a manual clock', () => {
  const clock = new ManualClock();
  let tasks = memoryTasks(clock);
  afterEach(() => tasks.close());

  it('waits twice as long with each failure, with jitter', async () => {
    tasks = memoryTasks(clock, { attempts: 4, firstRetryMs: 1_000, maxRetryMs: 3_000 }, () => 0.5);
    const handler = new ScriptedHandler(1, () => Promise.reject(new Error('no')));
    await tasks.submit(jobOrderOf('a', 1));
    tasks.work('bulk', 1, handler.handle);
    await settle();
    // Three quarters of 1, 2 and 3 s: half of it is fixed, the other half random.
    for (const [i, delayMs] of [750, 1_500, 2_250].entries()) {
      clock.advance(delayMs - 1);
      await settle();
      expect(handler.begun).toHaveLength(i + 1);
      expect(await tasks.counts('bulk')).toMatchObject({ waiting: 1, active: 0 });
      clock.advance(1);
      await settle();
      expect(handler.begun).toHaveLength(i + 2);
    }
    expect((await tasks.job('a')).report.state).toBe('failed');
  });

  it('reports how long the oldest task has waited, and how long the job will take', async () => {
    tasks = memoryTasks(clock);
    await tasks.submit(jobOrderOf('a', 1));
    clock.advance(4_000);
    await tasks.submit(jobOrderOf('b', 1, { priority: 5 }));
    clock.advance(3_000);
    expect((await tasks.counts('bulk')).oldestWaitingMs).toBe(7_000);
    await tasks.cancel('a');
    expect((await tasks.counts('bulk')).oldestWaitingMs).toBe(3_000);

    const handler = new ScriptedHandler(4, async (task) => {
      if (task.kind === 'segment') clock.advance(2_000);
      if (task.kind === 'segment' && task.span.index === 1) worker.setPaused(true);
      return undefined;
    });
    const worker = tasks.work('bulk', 1, handler.handle);
    await settle();
    expect((await tasks.job('b')).report).toMatchObject({ segmentsDone: 2, secondsLeft: 4 });
    clock.advance(8 * 3_600_000);
    expect((await tasks.job('b')).report.secondsLeft).toBe(4);
    worker.setPaused(false);
    await settle();
    expect((await tasks.job('b')).report.state).toBe('done');
  });

  it('keeps the newest jobs up to keepInputs', async () => {
    tasks = memoryTasks(clock, { keepInputs: 10 });
    tasks.work('bulk', 1, new ScriptedHandler(0).handle);
    for (const [i, inputs] of [2, 6, 4].entries()) {
      await tasks.submit(jobOrderOf(`j${i}`, inputs, { createdMs: i }));
      await settle();
    }
    expect((await tasks.jobs()).map(({ id }) => id)).toEqual(['j2', 'j1']);
  });

  it('refuses a concurrency below 1', () => {
    expect(() => tasks.work('bulk', 0, new ScriptedHandler(1).handle)).toThrow(RangeError);
  });
});
