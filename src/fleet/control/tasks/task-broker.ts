import type { JobOrder, Task } from '../../../wire/protocol/fleet.ts';
import type { TaskCounts, TaskWorker } from '../control-plane.ts';
import type { FollowUp } from './follow-up.ts';
import type { RunningTasks } from './running-tasks.ts';

/**
 * Holds the open tasks, in one queue for each pipeline, and hands each to one worker at a time: BullMQ, or the memory of one
 * process. What is done is in the records of jobs.
 */
export interface TaskBroker {
  /** Adds a split task for each input. Existing tasks are left unchanged. */
  addSplits(order: JobOrder): Promise<void>;
  /** Adds the segments of a file, and the merge that waits for them and for the split, which is still running. */
  addFollowUp(split: Task, next: FollowUp, order: JobOrder): Promise<void>;
  /** Removes tasks in any state, except those that a worker holds. */
  remove(pipeline: string, ids: readonly string[]): Promise<void>;
  /** Requeues a permanently failed task with all its attempts. @returns false if the queue has no such task. */
  retry(pipeline: string, id: string): Promise<boolean>;
  counts(pipelines: readonly string[]): Promise<TaskCounts>;
  /** Runs tasks of a pipeline, at most `concurrency` at once. */
  work(pipeline: string, concurrency: number, running: RunningTasks): TaskWorker;
  close(): Promise<void>;
}
