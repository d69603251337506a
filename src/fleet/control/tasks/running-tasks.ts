import { setTimeout as sleep } from 'node:timers/promises';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { type Delivery, type StopReason, type TaskEnd, TaskRun, type WorkerContext } from './task-run.ts';

const RETRY_MS = 300;

/** The tasks that one worker runs now. */
export class RunningTasks {
  readonly #context: WorkerContext;
  readonly #runs = new Map<TaskRun, Promise<unknown>>();
  #isClosing = false;

  constructor(context: Omit<WorkerContext, 'retryUntilReachable'>) {
    this.#context = { ...context, retryUntilReachable: (call) => this.#retryUntilReachable(call) };
  }

  get size(): number {
    return this.#runs.size;
  }

  async run(delivery: Delivery): Promise<TaskEnd> {
    const run = new TaskRun(delivery, this.#context);
    const ended = run.run();
    this.#runs.set(
      run,
      ended.catch(() => undefined),
    );
    try {
      return await ended;
    } finally {
      this.#runs.delete(run);
    }
  }

  stop(reason: StopReason): void {
    for (const run of this.#runs.keys()) run.stop(reason);
  }

  /** Reports the progress of all tasks, and stops those that are cancelled or that another worker has. */
  async tick(): Promise<void> {
    const ticked = [...this.#runs.keys()].flatMap((run) => {
      const task = run.tick();
      return task === null ? [] : [{ run, task }];
    });
    const verdicts = await this.#context.records.progress(ticked.map(({ task }) => task));
    for (const [i, { run }] of ticked.entries()) {
      const verdict = verdicts[i]!;
      if (verdict !== 'ok') run.stop(verdict);
    }
  }

  /** Stops all tasks, to return them to the queue. Resolves when no handler runs. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.stop('closing');
    await Promise.all(this.#runs.values());
  }

  async #retryUntilReachable<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const isUnreachable = error instanceof SightlineError && error.code === 'CONTROL_UNREACHABLE';
        if (!isUnreachable || this.#isClosing) throw error;
        await sleep(RETRY_MS);
      }
    }
  }
}
