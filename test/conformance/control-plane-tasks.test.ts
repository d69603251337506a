import { describe, expect, it } from 'vitest';
import type { TaskWorker } from '../../src/fleet/control/control-plane.ts';
import type { Task } from '../../src/wire/protocol/fleet.ts';
import { jobOrderOf, ScriptedHandler, untilAborted } from '../support/task-handlers.ts';
import { describeQueues } from '../support/task-queues.ts';
import { waitFor } from '../support/wait-for.ts';

describeQueues(({ openTasks, work, untilState }) => {
  describe('submit', () => {
    it('queues one split for each input', async () => {
      const tasks = await openTasks();
      await tasks.submit(jobOrderOf('a', 3));
      expect(await tasks.counts('bulk')).toMatchObject({ waiting: 3, active: 0 });
      const { report, order, deadLetters } = await tasks.job('a');
      expect(report).toEqual({
        id: 'a',
        pipeline: 'bulk',
        state: 'waiting',
        inputs: 3,
        filesDone: 0,
        segments: 0,
        segmentsDone: 0,
        deadLetters: 0,
        progressRatio: 0,
        frames: 0,
        secondsLeft: null,
        createdMs: 1_000,
        finishedMs: null,
        outDir: '/results/a',
      });
      expect(order).toEqual(jobOrderOf('a', 3));
      expect(deadLetters).toEqual([]);
    });

    it('changes nothing the second time, whatever the creation time', async () => {
      const tasks = await openTasks();
      await tasks.submit(jobOrderOf('a', 3));
      await tasks.submit(jobOrderOf('a', 3));
      await tasks.submit(jobOrderOf('a', 3, { createdMs: 2_000 }));
      expect((await tasks.counts(null)).waiting).toBe(3);
      expect(await tasks.jobs()).toHaveLength(1);
      work(tasks, 2, new ScriptedHandler(1).handle);
      await untilState(tasks, 'a', 'done');
      await tasks.submit(jobOrderOf('a', 3));
      expect((await tasks.counts(null)).waiting).toBe(0);
      expect((await tasks.job('a')).report.state).toBe('done');
    });

    it('refuses another order with a known id', async () => {
      const tasks = await openTasks();
      await tasks.submit(jobOrderOf('a', 3));
      await expect(tasks.submit(jobOrderOf('a', 4))).rejects.toMatchObject({ code: 'JOB_EXISTS' });
      await expect(tasks.submit(jobOrderOf('a', 3, { every: 2 }))).rejects.toMatchObject({ code: 'JOB_EXISTS' });
      expect((await tasks.counts(null)).waiting).toBe(3);
    });

    it('keeps 2,500 inputs in their order', async () => {
      const tasks = await openTasks();
      await tasks.submit(jobOrderOf('a', 2_500));
      expect((await tasks.counts('bulk')).waiting).toBe(2_500);
      expect((await tasks.job('a')).order).toEqual(jobOrderOf('a', 2_500));
    });
  });

  describe('the tasks of a file', () => {
    it('are the split, then the segments, then the merge once all segments are done', async () => {
      const tasks = await openTasks();
      const handler = new ScriptedHandler(3);
      await tasks.submit(jobOrderOf('a', 2));
      work(tasks, 4, async (task, order, context) => {
        if (task.kind === 'merge') {
          const before = handler.ended.filter((name) => name.startsWith(`a/segment ${task.file}.`));
          expect(before).toHaveLength(3);
        }
        return handler.handle(task, order, context);
      });
      await untilState(tasks, 'a', 'done');
      expect([...handler.begun].sort()).toEqual([
        'a/merge 0',
        'a/merge 1',
        'a/segment 0.0',
        'a/segment 0.1',
        'a/segment 0.2',
        'a/segment 1.0',
        'a/segment 1.1',
        'a/segment 1.2',
        'a/split 0',
        'a/split 1',
      ]);
      const { report } = await tasks.job('a');
      expect(report).toMatchObject({ filesDone: 2, segments: 6, segmentsDone: 6, frames: 60, deadLetters: 0 });
      expect(report).toMatchObject({ progressRatio: 1, secondsLeft: 0 });
      expect(report.finishedMs).toBeGreaterThan(1_000);
      expect(handler.orders[0]).toEqual(jobOrderOf('a', 2));
    });

    it('end with the split if nothing follows it, and with the merge if there is no segment', async () => {
      const tasks = await openTasks();
      const handler = new ScriptedHandler(0, async (task) => (task.file === 0 ? { frames: 0, next: null } : undefined));
      await tasks.submit(jobOrderOf('a', 2));
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'a', 'done');
      expect(handler.begun).toEqual(['a/split 0', 'a/split 1', 'a/merge 1']);
      expect((await tasks.job('a')).report).toMatchObject({ filesDone: 2, segments: 0, progressRatio: 1 });
    });

    it('run by priority, files in progress first', async () => {
      const tasks = await openTasks();
      await tasks.submit(jobOrderOf('low', 1, { priority: 1 }));
      await tasks.submit(jobOrderOf('high', 2, { priority: 7 }));
      const handler = new ScriptedHandler(2);
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'low', 'done');
      const ofFile = (job: string, file: number): string[] =>
        ['split', 'segment', 'segment', 'merge'].map((kind) => `${job}/${kind} ${file}`);
      expect(handler.begun.map((name) => name.replace(/\.\d$/, ''))).toEqual([
        ...ofFile('high', 0),
        ...ofFile('high', 1),
        ...ofFile('low', 0),
      ]);
    });

    it('are run by workers of their pipeline only', async () => {
      const tasks = await openTasks();
      await tasks.submit(jobOrderOf('a', 1, { pipeline: 'night: cars' }));
      const other = new ScriptedHandler(1);
      work(tasks, 1, other.handle, 'day');
      const own = new ScriptedHandler(1);
      work(tasks, 1, own.handle, 'night: cars');
      await untilState(tasks, 'a', 'done');
      expect(other.begun).toEqual([]);
    });
  });

  describe('workers', () => {
    it('run up to `concurrency` tasks at once', async () => {
      const tasks = await openTasks();
      let release = (): void => undefined;
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      let active = 0;
      let most = 0;
      const handler = new ScriptedHandler(1, async () => {
        active += 1;
        most = Math.max(most, active);
        await gate;
        active -= 1;
        return undefined;
      });
      await tasks.submit(jobOrderOf('a', 6));
      work(tasks, 3, handler.handle);
      await waitFor('three run', () => active === 3);
      const counts = await tasks.counts('bulk');
      expect(counts).toMatchObject({ waiting: 3, active: 3 });
      expect(counts.oldestWaitingMs).toBeGreaterThanOrEqual(0);
      release();
      await untilState(tasks, 'a', 'done');
      expect(most).toBe(3);
      expect(await tasks.counts(null)).toEqual({ waiting: 0, active: 0, oldestWaitingMs: 0 });
    });

    it('take nothing while paused, and finish running tasks', async () => {
      const tasks = await openTasks();
      let worker: TaskWorker | null = null;
      const handler = new ScriptedHandler(2, async () => {
        if (handler.begun.length === 1) worker!.setPaused(true);
        return undefined;
      });
      worker = work(tasks, 1, handler.handle);
      await tasks.submit(jobOrderOf('a', 1));
      await waitFor('the split is done', async () => (await tasks.job('a')).report.segments === 2);
      // Another worker would take the next task within this time.
      const second = new ScriptedHandler(2);
      await tasks.submit(jobOrderOf('b', 1, { priority: 9 }));
      const other = work(tasks, 1, second.handle);
      await untilState(tasks, 'a', 'done');
      expect(handler.begun).toEqual(['a/split 0']);
      expect(second.begun).toContain('b/merge 0');

      worker.setPaused(false);
      await other.close();
      await tasks.submit(jobOrderOf('c', 1));
      await untilState(tasks, 'c', 'done');
      expect(handler.begun).toContain('c/merge 0');
    });

    it('return running tasks to the queue when they close, without counting the attempt', async () => {
      const tasks = await openTasks({ attempts: 1 });
      const first = new ScriptedHandler(1, (_, { signal }) => untilAborted(signal));
      await tasks.submit(jobOrderOf('a', 2));
      const closing = work(tasks, 2, first.handle);
      await waitFor('both run', () => first.begun.length === 2);
      await closing.close();
      expect(await tasks.counts('bulk')).toMatchObject({ waiting: 2, active: 0 });
      const second = new ScriptedHandler(1);
      work(tasks, 1, second.handle);
      await untilState(tasks, 'a', 'done');
      expect(second.begun).toHaveLength(6);
      expect((await tasks.job('a')).report.deadLetters).toBe(0);
    });
  });

  describe('reports', () => {
    it('count frames of running segments, and none twice', async () => {
      const tasks = await openTasks();
      let release = (): void => undefined;
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      const handler = new ScriptedHandler(2, async (task: Task, context) => {
        if (task.kind !== 'segment') return undefined;
        context.progress(4);
        if (task.span.index === 1) await gate;
        return undefined;
      });
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 2, handler.handle);
      await waitFor('one is done, one runs', async () => (await tasks.job('a')).report.frames === 14);
      expect((await tasks.job('a')).report).toMatchObject({ state: 'running', segmentsDone: 1, progressRatio: 0.5 });
      release();
      await untilState(tasks, 'a', 'done');
      expect((await tasks.job('a')).report.frames).toBe(20);
    });

    it('list the newest job first, and drop finished ones beyond keepJobs', async () => {
      const tasks = await openTasks({ keepJobs: 3, attempts: 1 });
      await tasks.submit(jobOrderOf('waits', 1, { pipeline: 'nobody', createdMs: 10 }));
      const handler = new ScriptedHandler(2, async (task) => {
        if (task.jobId === 'j1') throw new Error('dead');
        return undefined;
      });
      work(tasks, 1, handler.handle);
      for (const [i, id] of ['j1', 'j2', 'j3', 'j4'].entries()) {
        await tasks.submit(jobOrderOf(id, 1, { createdMs: 100 + i }));
        await untilState(tasks, id, id === 'j1' ? 'failed' : 'done');
      }
      await tasks.submit(jobOrderOf('j5', 1, { createdMs: 200, pipeline: 'nobody' }));
      expect((await tasks.jobs()).map(({ id }) => id)).toEqual(['j5', 'j4', 'j3', 'waits']);
      await expect(tasks.job('j1')).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });

      // The id of a removed job is free, and nothing is left of the old job.
      await tasks.submit(jobOrderOf('j2', 1, { createdMs: 300, every: 3 }));
      await untilState(tasks, 'j2', 'done');
      expect(handler.begun.filter((name) => name === 'j2/split 0')).toHaveLength(2);
    });

    it('drop finished jobs after keepMs', async () => {
      const tasks = await openTasks({ keepMs: 0 });
      work(tasks, 1, new ScriptedHandler(0).handle);
      await tasks.submit(jobOrderOf('a', 1));
      await tasks.submit(jobOrderOf('b', 1, { pipeline: 'nobody' }));
      await waitFor('a is removed', async () => (await tasks.jobs()).length === 1);
    });

    it('reject an unknown job', async () => {
      const tasks = await openTasks();
      for (const call of [tasks.job('x'), tasks.cancel('x'), tasks.retry('x')])
        await expect(call).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
      expect(await tasks.jobs()).toEqual([]);
      expect(await tasks.counts('bulk')).toEqual({ waiting: 0, active: 0, oldestWaitingMs: 0 });
    });
  });
});
