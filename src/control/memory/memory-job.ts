import type { DeadLetter, JobOrder, Task } from '../../protocol/fleet.ts';
import type { FollowUp } from '../tasks/follow-up.ts';
import { busyGapMs, type JobFacts, type OpenCounts, openTasks } from '../tasks/job-facts.ts';
import { taskId } from '../tasks/task-id.ts';

/** A file whose segments are known. */
interface SplitFile {
  /** Segments that are not done yet. */
  left: number;
  /** The task that follows them; null if the split had no follow-up. */
  readonly merge: Task | null;
}

interface DeadTask {
  readonly task: Task;
  readonly letter: DeadLetter;
}

/** The record of one job in memory: completed work is kept in sets, so that nothing counts twice. */
export class MemoryJob {
  readonly order: JobOrder;
  readonly digest: string;
  readonly #files = new Map<number, SplitFile>();
  readonly #segmentsDone = new Set<string>();
  readonly #merged = new Set<number>();
  /** Frames so far of each running segment. */
  readonly #liveFrames = new Map<string, number>();
  readonly #dead = new Map<string, DeadTask>();
  #segments = 0;
  #mergeable = 0;
  #framesDone = 0;
  #isCancelled = false;
  #startedMs: number | null = null;
  #finishedMs: number | null = null;
  #lastSegmentMs = 0;
  #busyMs = 0;

  constructor(order: JobOrder, digest: string) {
    this.order = order;
    this.digest = digest;
  }

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  get finishedMs(): number | null {
    return this.#finishedMs;
  }

  get deadLetters(): readonly DeadLetter[] {
    return Array.from(this.#dead.values(), ({ letter }) => letter);
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
      isCancelled: this.#isCancelled,
      startedMs: this.#startedMs,
      finishedMs: this.#finishedMs,
      busyMs: this.#busyMs,
    };
  }

  begin(nowMs: number): void {
    if (this.#startedMs !== null) return;
    this.#startedMs = nowMs;
    this.#lastSegmentMs = nowMs;
  }

  /** Stores the frames so far of a running segment. */
  progress(task: Task, frames: number): void {
    if (task.kind === 'segment') this.#liveFrames.set(taskId(task), frames);
  }

  /** @returns the tasks that are ready now. */
  finish(task: Task, frames: number, next: FollowUp | null, nowMs: number): readonly Task[] {
    const ready = this.#count(task, frames, next, nowMs);
    this.#dead.delete(taskId(task));
    this.#settle(nowMs);
    return ready;
  }

  addDeadLetter(task: Task, letter: DeadLetter, nowMs: number): void {
    this.#dead.set(taskId(task), { task, letter });
    this.#settle(nowMs);
  }

  /** @returns the tasks that had failed permanently; they count as open again. */
  requeue(nowMs: number): readonly Task[] {
    const tasks = Array.from(this.#dead.values(), ({ task }) => task);
    this.#dead.clear();
    this.#settle(nowMs);
    return tasks;
  }

  cancel(nowMs: number): void {
    this.#isCancelled = true;
    this.#finishedMs ??= nowMs;
  }

  #count(task: Task, frames: number, next: FollowUp | null, nowMs: number): readonly Task[] {
    if (task.kind === 'split') return this.#split(task.file, next);
    if (task.kind === 'segment') return this.#segment(task, frames, nowMs);
    this.#merged.add(task.file);
    return [];
  }

  #split(file: number, next: FollowUp | null): readonly Task[] {
    if (this.#files.has(file)) return [];
    if (next === null) {
      this.#files.set(file, { left: 0, merge: null });
      this.#mergeable += 1;
      this.#merged.add(file);
      return [];
    }
    const { merge, segments } = next;
    this.#files.set(file, { left: segments.length, merge });
    this.#segments += segments.length;
    if (segments.length > 0) return segments;
    this.#mergeable += 1;
    return [merge];
  }

  #segment(task: Task, frames: number, nowMs: number): readonly Task[] {
    const id = taskId(task);
    if (this.#segmentsDone.has(id)) return [];
    this.#liveFrames.delete(id);
    this.#framesDone += frames;
    const pace = { busyMs: this.#busyMs, segmentsDone: this.#segmentsDone.size };
    this.#busyMs += busyGapMs(nowMs - this.#lastSegmentMs, pace);
    this.#lastSegmentMs = nowMs;
    this.#segmentsDone.add(id);
    const file = this.#files.get(task.file)!;
    file.left -= 1;
    if (file.left > 0 || file.merge === null) return [];
    this.#mergeable += 1;
    return [file.merge];
  }

  #counts(): OpenCounts {
    return {
      inputs: this.order.inputs.length,
      splits: this.#files.size,
      segments: this.#segments,
      segmentsDone: this.#segmentsDone.size,
      mergeable: this.#mergeable,
      filesDone: this.#merged.size,
      deadLetters: this.#dead.size,
    };
  }

  /** A job is finished when none of its tasks is open, and open again when a dead letter is retried. */
  #settle(nowMs: number): void {
    const isFinished = openTasks(this.#counts()) <= 0;
    this.#finishedMs = isFinished ? (this.#finishedMs ?? nowMs) : null;
  }
}
