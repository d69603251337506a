import type { Task } from '../../../wire/protocol/fleet.ts';
import type { TaskWorker } from '../control-plane.ts';
import type { RunningTasks } from '../tasks/running-tasks.ts';
import type { TaskEnd } from '../tasks/task-run.ts';

const TICK_MS = 1_000;

/** A task that has not completed. */
export interface Entry {
  readonly id: string;
  readonly task: Task;
  readonly priority: number;
  /** Ids of the tasks that must complete first. */
  readonly waitsFor: Set<string>;
  /** Failed ones. */
  attempts: number;
  /** When it became ready for its first attempt. */
  sinceMs: number;
  state: 'waiting' | 'ready' | 'delayed' | 'active' | 'failed';
}

interface MemoryWorkerOptions {
  /** 1 or more. */
  readonly concurrency: number;
  readonly running: RunningTasks;
  readonly mostAttempts: number;
  readonly tickMs?: number | undefined;
  /** Returns the next task; null if there is none. */
  readonly take: () => Entry | null;
  readonly onEnd: (entry: Entry, end: TaskEnd) => void;
  readonly onClosed: () => void;
}

/** Runs tasks of one pipeline, at most `concurrency` at once. */
export class MemoryWorker implements TaskWorker {
  readonly #options: MemoryWorkerOptions;
  readonly #ticking: NodeJS.Timeout;
  readonly #ends = new Set<Promise<void>>();
  #isPaused = false;
  #isPumping = false;
  #closed: Promise<void> | null = null;

  constructor(options: MemoryWorkerOptions) {
    this.#options = options;
    this.#ticking = setInterval(() => void options.running.tick(), options.tickMs ?? TICK_MS);
    this.#ticking.unref();
  }

  get activeCount(): number {
    return this.#ends.size;
  }

  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.pump();
  }

  /** Takes tasks up to `concurrency`, in a microtask: handlers never run inside the call that added their task. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      while (!this.#isPaused && this.#closed === null && this.#ends.size < this.#options.concurrency) {
        const entry = this.#options.take();
        if (entry === null) return;
        this.#begin(entry);
      }
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#ticking);
    await this.#options.running.close();
    await Promise.all(this.#ends);
    this.#options.onClosed();
  }

  #begin(entry: Entry): void {
    const { running, mostAttempts, onEnd } = this.#options;
    entry.state = 'active';
    const lock = { isHeld: () => Promise.resolve(true) };
    const { id, task: data, attempts } = entry;
    const delivery = { id, data, attempt: attempts + 1, mostAttempts, stalls: 0, lock };
    const ended: Promise<void> = running.run(delivery).then((end) => {
      this.#ends.delete(ended);
      onEnd(entry, end);
      this.pump();
    });
    this.#ends.add(ended);
  }
}
