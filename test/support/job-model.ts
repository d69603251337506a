import type { FollowUp } from '../../src/fleet/control/tasks/follow-up.ts';
import {
  busyGapMs,
  type Completion,
  countedFrames,
  type OpenCounts,
  RISES,
  type RisingCount,
  segmentCompletion,
  settledMs,
  splitCompletion,
} from '../../src/fleet/control/tasks/job-accounting.ts';
import type { JobFacts } from '../../src/fleet/control/tasks/job-facts.ts';
import { taskId } from '../../src/fleet/control/tasks/task-id.ts';
import type { JobOrder, Task } from '../../src/wire/protocol/fleet.ts';

/** A file whose segments are known. */
interface SplitFile {
  readonly segments: number;
  segmentsDone: number;
  /** The task that follows them; null if the split had no follow-up. */
  readonly merge: Task | null;
}

/** The account of a job as plain variables, which the records are compared with. Completed tasks are remembered, so that nothing counts twice. */
export class JobModel {
  readonly order: JobOrder;
  readonly #files = new Map<number, SplitFile>();
  /** Ids of completed tasks. */
  readonly #done = new Set<string>();
  readonly #risen: Record<RisingCount, number> = { splits: 0, segmentsDone: 0, mergeable: 0, filesDone: 0 };
  /** Frames so far of each running segment. */
  readonly #liveFrames = new Map<string, number>();
  readonly #dead = new Map<string, Task>();
  #segments = 0;
  #framesDone = 0;
  /** Of the segments of each file. */
  readonly #framesOf = new Map<number, number>();
  #startedMs: number | null = null;
  #finishedMs: number | null = null;
  #lastSegmentMs = 0;
  #busyMs = 0;

  constructor(order: JobOrder) {
    this.order = order;
  }

  facts(): JobFacts {
    const { id, pipeline, outDir, createdMs } = this.order;
    let frames = this.#framesDone;
    for (const count of this.#liveFrames.values()) frames += count;
    return {
      id,
      pipeline,
      outDir,
      createdMs,
      ...this.#counts(),
      frames,
      isCancelled: false,
      startedMs: this.#startedMs,
      finishedMs: this.#finishedMs,
      busyMs: this.#busyMs,
    };
  }

  begin(task: Task, nowMs: number): void {
    this.#liveFrames.delete(taskId(task));
    if (this.#startedMs !== null) return;
    this.#startedMs = nowMs;
    this.#lastSegmentMs = nowMs;
  }

  /** Stores the frames so far of a running task. */
  progress(task: Task, frames: number): void {
    this.#liveFrames.set(taskId(task), countedFrames(task.kind, frames));
  }

  /** @returns the tasks that are ready now. */
  finish(task: Task, frames: number, next: FollowUp | null, nowMs: number): readonly Task[] {
    const id = taskId(task);
    this.#liveFrames.delete(id);
    this.#dead.delete(id);
    const ready = this.#done.has(id) ? [] : this.#complete(task, frames, next, nowMs);
    this.#done.add(id);
    this.#settle(nowMs);
    return ready;
  }

  addDeadLetter(task: Task, nowMs: number): void {
    this.#dead.set(taskId(task), task);
    this.#liveFrames.delete(taskId(task));
    this.#settle(nowMs);
  }

  /** @returns the tasks that had failed permanently; they count as open again. */
  requeue(nowMs: number): readonly Task[] {
    const tasks = [...this.#dead.values()];
    this.#dead.clear();
    this.#settle(nowMs);
    return tasks;
  }

  #complete(task: Task, frames: number, next: FollowUp | null, nowMs: number): readonly Task[] {
    if (task.kind === 'split') return this.#split(task.file, next);
    if (task.kind === 'segment') return this.#segment(task, frames, nowMs);
    // A file that was inferred as a whole.
    if (task.kind === 'merge' && frames > 0) this.#framesDone += frames - (this.#framesOf.get(task.file) ?? 0);
    this.#raise('merge');
    return [];
  }

  #split(file: number, next: FollowUp | null): readonly Task[] {
    const segments = next?.segments ?? [];
    this.#files.set(file, { segments: segments.length, segmentsDone: 0, merge: next?.merge ?? null });
    this.#segments += segments.length;
    this.#raise(splitCompletion(next === null ? null : segments.length));
    return next !== null && segments.length === 0 ? [next.merge] : segments;
  }

  #segment(task: Task, frames: number, nowMs: number): readonly Task[] {
    this.#framesDone += countedFrames(task.kind, frames);
    this.#framesOf.set(task.file, (this.#framesOf.get(task.file) ?? 0) + countedFrames(task.kind, frames));
    const pace = { busyMs: this.#busyMs, segmentsDone: this.#risen.segmentsDone };
    this.#busyMs += busyGapMs(nowMs - this.#lastSegmentMs, pace);
    this.#lastSegmentMs = nowMs;
    const file = this.#files.get(task.file)!;
    file.segmentsDone += 1;
    const completion = segmentCompletion(file.segmentsDone, file.segments);
    this.#raise(completion);
    return completion === 'lastSegment' && file.merge !== null ? [file.merge] : [];
  }

  #raise(completion: Completion): void {
    for (const count of RISES[completion]) this.#risen[count] += 1;
  }

  #counts(): OpenCounts {
    return {
      inputs: this.order.inputs.length,
      segments: this.#segments,
      ...this.#risen,
      deadLetters: this.#dead.size,
    };
  }

  #settle(nowMs: number): void {
    this.#finishedMs = settledMs(this.#counts(), this.#finishedMs, nowMs);
  }
}
