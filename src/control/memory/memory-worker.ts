import type { TaskWorker } from '../control-plane.ts';

/** What a worker needs from its queue. */
interface WorkerQueue<E> {
  /** Returns the next task; null if there is none. */
  take(): E | null;
  /** Runs a task; never rejects. */
  run(entry: E, abort: AbortController): Promise<void>;
  onClosed(): void;
}

/** Runs tasks of one pipeline, at most `concurrency` at once. */
export class MemoryWorker<E> implements TaskWorker {
  readonly #concurrency: number;
  readonly #queue: WorkerQueue<E>;
  readonly #running = new Map<E, { readonly abort: AbortController; readonly ended: Promise<void> }>();
  #isPaused = false;
  #isPumping = false;
  #closed: Promise<void> | null = null;

  /** @param concurrency - 1 or more. */
  constructor(concurrency: number, queue: WorkerQueue<E>) {
    if (!(concurrency >= 1)) throw new RangeError(`concurrency: expected 1 or more, received ${concurrency}`);
    this.#concurrency = concurrency;
    this.#queue = queue;
  }

  get activeCount(): number {
    return this.#running.size;
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
      while (!this.#isPaused && this.#closed === null && this.#running.size < this.#concurrency) {
        const entry = this.#queue.take();
        if (entry === null) return;
        this.#begin(entry);
      }
    });
  }

  abortWhere(isUnwanted: (entry: E) => boolean): void {
    for (const [entry, { abort }] of this.#running) if (isUnwanted(entry)) abort.abort();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.abortWhere(() => true);
    await Promise.all(Array.from(this.#running.values(), ({ ended }) => ended));
    this.#queue.onClosed();
  }

  #begin(entry: E): void {
    const abort = new AbortController();
    const ended = this.#queue.run(entry, abort).then(() => {
      this.#running.delete(entry);
      this.pump();
    });
    this.#running.set(entry, { abort, ended });
  }
}
