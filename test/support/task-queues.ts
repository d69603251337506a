import { afterEach, describe } from 'vitest';
import type { TaskHandler, TaskQueue, TaskWorker } from '../../src/control/control-plane.ts';
import { MemoryTasks } from '../../src/control/memory/memory-tasks.ts';
import type { TaskPolicy } from '../../src/control/task-policy.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { JobState } from '../../src/protocol/fleet.ts';
import { waitFor } from './wait-for.ts';

interface OpenQueue {
  readonly tasks: TaskQueue;
  close(): Promise<void>;
}

interface QueueKind {
  readonly name: string;
  /** Why it cannot be tested here; null where it can. */
  readonly missing: string | null;
  open(policy: Partial<TaskPolicy>): Promise<OpenQueue>;
}

const memoryQueue: QueueKind = {
  name: 'memory',
  missing: null,
  async open(policy) {
    const tasks = new MemoryTasks({ clock: systemClock, policy });
    return { tasks, close: () => tasks.close() };
  },
};

const KINDS: readonly QueueKind[] = [memoryQueue];
const QUICK: Partial<TaskPolicy> = { firstRetryMs: 20, maxRetryMs: 40 };

export interface QueueBench {
  openTasks(policy?: Partial<TaskPolicy>): Promise<TaskQueue>;
  work(tasks: TaskQueue, concurrency: number, handler: TaskHandler, pipeline?: string): TaskWorker;
  untilState(tasks: TaskQueue, jobId: string, state: JobState): Promise<unknown>;
}

/** Runs the same claims against every task queue; workers and queues are closed after each. */
export function describeQueues(claims: (bench: QueueBench) => void): void {
  for (const kind of KINDS) {
    if (kind.missing !== null) console.warn(`the ${kind.name} task queue is not tested: ${kind.missing}`);
    describe.skipIf(kind.missing !== null)(`task queue: ${kind.name}`, () => {
      const open: OpenQueue[] = [];
      const workers: TaskWorker[] = [];
      afterEach(async () => {
        await Promise.all(workers.splice(0).map((worker) => worker.close()));
        await Promise.all(open.splice(0).map((queue) => queue.close()));
      });
      claims({
        async openTasks(policy = {}) {
          const queue = await kind.open({ ...QUICK, ...policy });
          open.push(queue);
          return queue.tasks;
        },
        work(tasks, concurrency, handler, pipeline = 'bulk') {
          const worker = tasks.work(pipeline, concurrency, handler);
          workers.push(worker);
          return worker;
        },
        untilState(tasks, jobId, state) {
          const isThere = async (): Promise<boolean> => (await tasks.job(jobId)).report.state === state;
          return waitFor(`job ${jobId} is ${state}`, isThere, {}, async () => JSON.stringify(await tasks.job(jobId)));
        },
      });
    });
  }
}
