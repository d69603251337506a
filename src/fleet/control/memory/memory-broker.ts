import type { Clock } from '../../../base/core/clock.ts';
import type { JobOrder, Task } from '../../../wire/protocol/fleet.ts';
import type { TaskCounts, TaskWorker } from '../control-plane.ts';
import type { FollowUp } from '../tasks/follow-up.ts';
import type { RunningTasks } from '../tasks/running-tasks.ts';
import type { TaskBroker } from '../tasks/task-broker.ts';
import { taskId } from '../tasks/task-id.ts';
import { retryDelayMs, type TaskPolicy, taskPriority } from '../tasks/task-policy.ts';
import { type Entry, MemoryWorker } from './memory-worker.ts';

interface Pipeline {
  readonly ready: PriorityQueue<Entry>;
  /** Entries that wait for their next attempt; the function cancels the timer. */
  readonly delayed: Map<Entry, () => void>;
  readonly workers: Set<MemoryWorker>;
}

export interface MemoryBrokerOptions {
  readonly clock: Clock;
  readonly policy: TaskPolicy;
  /** Time between two reports of progress, which also fetch cancelled tasks. */
  readonly tickMs?: number | undefined;
  /** Uniform in [0, 1), for the jitter of the back-off. */
  readonly random?: (() => number) | undefined;
}

/** Keeps the tasks in the memory of one process, until it ends. */
export class MemoryBroker implements TaskBroker {
  readonly #options: MemoryBrokerOptions;
  readonly #pipelines = new Map<string, Pipeline>();
  /** All tasks that have not completed, by id. */
  readonly #entries = new Map<string, Entry>();

  constructor(options: MemoryBrokerOptions) {
    this.#options = options;
  }

  async addSplits(order: JobOrder): Promise<void> {
    const { id: jobId, pipeline, inputs } = order;
    for (const file of inputs.keys()) this.#add({ kind: 'split', jobId, pipeline, file }, order);
    this.#wake(pipeline);
  }

  async addFollowUp(split: Task, { merge, segments }: FollowUp, order: JobOrder): Promise<void> {
    const children = new Set([split, ...segments].map(taskId));
    this.#add(merge, order, children);
    for (const segment of segments) this.#add(segment, order);
    this.#wake(split.pipeline);
  }

  async remove(pipeline: string, ids: readonly string[]): Promise<void> {
    const { ready, delayed } = this.#pipeline(pipeline);
    const unwanted = new Set(ids.map((id) => this.#entries.get(id)).filter((entry) => entry?.state !== 'active'));
    ready.removeWhere((entry) => unwanted.has(entry));
    for (const entry of unwanted) {
      if (entry === undefined) continue;
      delayed.get(entry)?.();
      delayed.delete(entry);
      this.#entries.delete(entry.id);
    }
  }

  async retry(pipeline: string, id: string): Promise<boolean> {
    const entry = this.#entries.get(id);
    if (entry?.state === 'failed') {
      entry.attempts = 0;
      this.#enqueue(entry);
      this.#wake(pipeline);
    }
    return entry !== undefined;
  }

  async counts(pipelines: readonly string[]): Promise<TaskCounts> {
    const nowMs = this.#nowMs();
    let waiting = 0;
    let active = 0;
    let oldestMs = nowMs;
    for (const name of pipelines) {
      const { ready, delayed, workers } = this.#pipeline(name);
      waiting += ready.size + delayed.size;
      for (const worker of workers) active += worker.activeCount;
      for (const { sinceMs } of [...ready, ...delayed.keys()]) oldestMs = Math.min(oldestMs, sinceMs);
    }
    return { waiting, active, oldestWaitingMs: nowMs - oldestMs };
  }

  work(pipeline: string, concurrency: number, running: RunningTasks): TaskWorker {
    const { ready, workers } = this.#pipeline(pipeline);
    const { policy, tickMs } = this.#options;
    const worker: MemoryWorker = new MemoryWorker({
      concurrency,
      running,
      mostAttempts: policy.attempts,
      tickMs,
      take: () => ready.take(),
      onEnd: (entry, end) => {
        if (end.kind === 'completed' || end.kind === 'lost') this.#complete(entry);
        else if (end.kind === 'returned') this.#return(entry);
        else if (end.kind === 'failed') this.#delay(entry);
        else entry.state = 'failed';
      },
      onClosed: () => workers.delete(worker),
    });
    workers.add(worker);
    worker.pump();
    return worker;
  }

  /** Cancels pending retries. The workers are closed. */
  async close(): Promise<void> {
    for (const { delayed } of this.#pipelines.values()) {
      for (const stopTimer of delayed.values()) stopTimer();
      delayed.clear();
    }
  }

  /** @param waitsFor - ids of the tasks that must complete first. */
  #add(task: Task, order: JobOrder, waitsFor: Set<string> = new Set()): void {
    const id = taskId(task);
    if (this.#entries.has(id)) return;
    const priority = taskPriority(task.kind, order);
    const entry: Entry = { id, task, priority, waitsFor, attempts: 0, sinceMs: 0, state: 'waiting' };
    this.#entries.set(id, entry);
    if (waitsFor.size === 0) this.#enqueue(entry);
  }

  #enqueue(entry: Entry): void {
    entry.state = 'ready';
    entry.sinceMs = this.#nowMs();
    this.#pipeline(entry.task.pipeline).ready.add(entry);
  }

  #complete({ id, task: { jobId, file, pipeline } }: Entry): void {
    this.#entries.delete(id);
    const merge = this.#entries.get(`${jobId}/merge/${file}`);
    if (merge?.waitsFor.delete(id) && merge.waitsFor.size === 0) this.#enqueue(merge);
    this.#wake(pipeline);
  }

  /** The attempt does not count: it was not the task's fault. */
  #return(entry: Entry): void {
    entry.state = 'ready';
    this.#pipeline(entry.task.pipeline).ready.putBack(entry);
    this.#wake(entry.task.pipeline);
  }

  #delay(entry: Entry): void {
    const { clock, policy, random } = this.#options;
    const { ready, delayed } = this.#pipeline(entry.task.pipeline);
    entry.attempts += 1;
    entry.state = 'delayed';
    const onDue = (): void => {
      delayed.delete(entry);
      entry.state = 'ready';
      ready.add(entry);
      this.#wake(entry.task.pipeline);
    };
    delayed.set(entry, clock.setTimer(onDue, retryDelayMs(entry.attempts, policy, random)));
  }

  #wake(pipeline: string): void {
    for (const worker of this.#pipeline(pipeline).workers) worker.pump();
  }

  #pipeline(name: string): Pipeline {
    let pipeline = this.#pipelines.get(name);
    if (pipeline === undefined) {
      pipeline = { ready: new PriorityQueue(), delayed: new Map(), workers: new Set() };
      this.#pipelines.set(name, pipeline);
    }
    return pipeline;
  }

  #nowMs(): number {
    return Math.floor(this.#options.clock.now());
  }
}

interface Prioritised {
  /** The smallest is taken first. */
  readonly priority: number;
}

/** A queue ordered by priority; first in, first out among equals. Few priorities are in use, so adding and taking are cheap. */
class PriorityQueue<T extends Prioritised> {
  readonly #bands = new Map<number, T[]>();
  /** Priorities in use, ascending. */
  #order: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(item: T): void {
    this.#band(item.priority).push(item);
    this.#size += 1;
  }

  /** Returns a taken item to the front of its priority. */
  putBack(item: T): void {
    this.#band(item.priority).unshift(item);
    this.#size += 1;
  }

  take(): T | null {
    const first = this.#order[0];
    if (first === undefined) return null;
    const band = this.#bands.get(first)!;
    const item = band.shift()!;
    this.#size -= 1;
    if (band.length === 0) this.#drop(first);
    return item;
  }

  removeWhere(isUnwanted: (item: T) => boolean): void {
    for (const [priority, band] of [...this.#bands]) {
      const kept = band.filter((item) => !isUnwanted(item));
      this.#size -= band.length - kept.length;
      if (kept.length === 0) this.#drop(priority);
      else this.#bands.set(priority, kept);
    }
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (const priority of this.#order) yield* this.#bands.get(priority)!;
  }

  #band(priority: number): T[] {
    let band = this.#bands.get(priority);
    if (band === undefined) {
      band = [];
      this.#bands.set(priority, band);
      this.#order = [...this.#order, priority].sort((a, b) => a - b);
    }
    return band;
  }

  #drop(priority: number): void {
    this.#bands.delete(priority);
    this.#order = this.#order.filter((other) => other !== priority);
  }
}
