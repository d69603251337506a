import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { jobOrderOf, ScriptedHandler, splitInto, taskName, untilAborted } from '../support/task-handlers.ts';
import { describeQueues } from '../support/task-queues.ts';
import { waitFor } from '../support/wait-for.ts';

describeQueues(({ openTasks, work, untilState }) => {
  describe('failures', () => {
    it('are retried, and count once', async () => {
      const tasks = await openTasks();
      const handler = new ScriptedHandler(1, async (task, context, attempt) => {
        context.progress(7);
        if (task.kind === 'segment' && attempt < 3) throw new Error('the disk was full');
        return undefined;
      });
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'a', 'done');
      expect(handler.begun.filter((name) => name === 'a/segment 0.0')).toHaveLength(3);
      expect((await tasks.job('a')).report).toMatchObject({ frames: 10, segmentsDone: 1, deadLetters: 0 });
    });

    it('become a dead letter after the last attempt', async () => {
      const tasks = await openTasks({ attempts: 3 });
      const handler = new ScriptedHandler(1, () => Promise.reject(new SightlineError('DECODE_EXITED', 'ffmpeg ended')));
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'a', 'failed');
      expect(handler.begun).toHaveLength(3);
      const { report, deadLetters } = await tasks.job('a');
      expect(report).toMatchObject({ deadLetters: 1, secondsLeft: null });
      expect(report.finishedMs).toBeGreaterThan(0);
      expect(deadLetters).toEqual([
        {
          taskId: 'a/split/0',
          jobId: 'a',
          kind: 'split',
          input: '/videos/a-0.mp4',
          reason: 'DECODE_EXITED: ffmpeg ended',
          attempts: 3,
          failedMs: expect.any(Number),
        },
      ]);
    });

    it('are not retried if their code is not retryable', async () => {
      const tasks = await openTasks();
      const handler = new ScriptedHandler(1, () =>
        Promise.reject(new SightlineError('SOURCE_UNREADABLE', 'a-0.mp4: not a video')),
      );
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'a', 'failed');
      expect(handler.begun).toHaveLength(1);
      expect((await tasks.job('a')).deadLetters).toMatchObject([{ attempts: 1 }]);
    });

    it('go back without costing an attempt from a host that cannot run them, however often', async () => {
      const tasks = await openTasks({ attempts: 2 });
      let refusals = 5;
      const handler = new ScriptedHandler(1, () => {
        if (refusals-- > 0) return Promise.reject(new SightlineError('HOST_UNFIT', 'no such model here'));
        return Promise.reject(new SightlineError('SOURCE_UNREADABLE', 'not a video'));
      });
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'a', 'failed');
      expect(handler.begun).toHaveLength(6);
      expect((await tasks.job('a')).deadLetters).toMatchObject([
        { attempts: 1, reason: 'SOURCE_UNREADABLE: not a video' },
      ]);
    });

    it('do not count the frames of a segment that has failed', async () => {
      const tasks = await openTasks({ attempts: 2 });
      const handler = new ScriptedHandler(2, async (task, context) => {
        if (taskName(task) !== 'segment 0.1') return undefined;
        context.progress(7);
        await waitFor('the frames count', async () => (await tasks.job('a')).report.frames === 17);
        throw new Error('the disk was full');
      });
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'a', 'failed');
      expect((await tasks.job('a')).report).toMatchObject({ frames: 10, segmentsDone: 1, deadLetters: 1 });
    });

    it('include an invalid follow-up of a handler', async () => {
      const tasks = await openTasks();
      const handler = new ScriptedHandler(1, async (task) =>
        task.kind === 'split' ? splitInto({ ...task, file: 7 }, 1) : undefined,
      );
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'a', 'failed');
      expect((await tasks.job('a')).deadLetters[0]?.reason).toMatch(
        /^PROTOCOL_INVALID: .*expected the merge of its file/,
      );
    });

    it('of one segment do not stop the rest of the job; retry continues to the merge', async () => {
      const tasks = await openTasks({ attempts: 2 });
      let isBroken = true;
      const handler = new ScriptedHandler(3, async (task) => {
        if (isBroken && taskName(task) === 'segment 0.1') throw new Error('no luck');
        return undefined;
      });
      await tasks.submit(jobOrderOf('a', 2));
      work(tasks, 2, handler.handle);
      await untilState(tasks, 'a', 'failed');
      expect((await tasks.job('a')).report).toMatchObject({ filesDone: 1, segmentsDone: 5, deadLetters: 1 });
      expect(handler.begun).not.toContain('a/merge 0');

      isBroken = false;
      expect(await tasks.retry('a')).toBe(1);
      await untilState(tasks, 'a', 'done');
      expect((await tasks.job('a')).report).toMatchObject({
        filesDone: 2,
        segmentsDone: 6,
        frames: 60,
        deadLetters: 0,
      });
      expect((await tasks.job('a')).deadLetters).toEqual([]);
      expect(handler.begun.filter((name) => name === 'a/merge 0')).toHaveLength(1);
      expect(await tasks.retry('a')).toBe(0);
    });

    it('get all their attempts again after retry', async () => {
      const tasks = await openTasks({ attempts: 2 });
      const handler = new ScriptedHandler(1, () => Promise.reject(new Error('never')));
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'a', 'failed');
      expect(await tasks.retry('a')).toBe(1);
      await waitFor('four attempts were made', () => handler.begun.length === 4);
      await untilState(tasks, 'a', 'failed');
      expect((await tasks.job('a')).deadLetters).toMatchObject([{ attempts: 2 }]);
    });
  });

  describe('cancel', () => {
    it('removes waiting tasks from the queue', async () => {
      const tasks = await openTasks();
      await tasks.submit(jobOrderOf('a', 40));
      await tasks.submit(jobOrderOf('b', 2));
      await tasks.cancel('a');
      expect((await tasks.counts('bulk')).waiting).toBe(2);
      const handler = new ScriptedHandler(1);
      work(tasks, 2, handler.handle);
      await untilState(tasks, 'b', 'done');
      expect(handler.begun.filter((name) => name.startsWith('a/'))).toEqual([]);
      const { report } = await tasks.job('a');
      expect(report.state).toBe('cancelled');
      expect(report.finishedMs).not.toBeNull();
    });

    it('aborts running tasks, and nothing follows', async () => {
      const tasks = await openTasks();
      const handler = new ScriptedHandler(3, async (task, { signal }) =>
        task.kind === 'segment' ? untilAborted(signal) : undefined,
      );
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 2, handler.handle);
      await waitFor('two segments run', () => handler.begun.length === 3);
      await tasks.cancel('a');
      await waitFor('nothing runs', async () => (await tasks.counts('bulk')).active === 0);
      expect(await tasks.counts('bulk')).toMatchObject({ waiting: 0, active: 0 });
      expect((await tasks.job('a')).report).toMatchObject({ state: 'cancelled', segmentsDone: 0, deadLetters: 0 });
      await tasks.submit(jobOrderOf('b', 1));
      await waitFor('another job runs', () => handler.begun.includes('b/split 0'));
      expect(handler.begun.filter((name) => name.startsWith('a/'))).toHaveLength(3);
    });

    it('counts no result of a handler that ignores it', async () => {
      const tasks = await openTasks();
      const handler = new ScriptedHandler(1, async (task, { signal }) => {
        if (task.kind === 'segment') await untilAborted(signal).catch(() => undefined);
        return undefined;
      });
      await tasks.submit(jobOrderOf('a', 1));
      work(tasks, 1, handler.handle);
      await waitFor('the segment runs', () => handler.begun.includes('a/segment 0.0'));
      await tasks.cancel('a');
      await waitFor('nothing runs', async () => (await tasks.counts('bulk')).active === 0);
      expect((await tasks.job('a')).report).toMatchObject({ state: 'cancelled', segmentsDone: 0 });
      expect(handler.begun).not.toContain('a/merge 0');
    });

    it('is idempotent, leaves a done job done, and is not undone by retry', async () => {
      const tasks = await openTasks({ attempts: 1 });
      const handler = new ScriptedHandler(1, async (task) => {
        if (task.jobId === 'bad') throw new Error('no');
        return undefined;
      });
      await tasks.submit(jobOrderOf('good', 1));
      await tasks.submit(jobOrderOf('bad', 1));
      work(tasks, 1, handler.handle);
      await untilState(tasks, 'good', 'done');
      await untilState(tasks, 'bad', 'failed');
      for (const id of ['good', 'bad', 'bad']) await tasks.cancel(id);
      expect((await tasks.job('good')).report.state).toBe('done');
      expect((await tasks.job('bad')).report.state).toBe('cancelled');
      expect(await tasks.retry('bad')).toBe(0);
    });
  });
});
