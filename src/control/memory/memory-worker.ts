import type { TaskWorker } from '../control-plane.ts';

/** What a worker needs of the queue that it belongs to. */
interface Desk<E> {
  /** The next task; null while there is none. */
  take(): E | null;
  /** Does one; never rejects. */
  run(entry: E, abort: AbortController): Promise<void>;
  onClosed(): void;
}

/** Does tasks of one pipeline, at most so many at once. */
export class MemoryWorker<E> implements TaskWorker {
  readonly #concurrency: number;
  readonly #context: Desk<E>;
  readonly #running = new Map<E, { readonly abort: AbortController; readonly ended: Promise<void> }>();
  #isPaused = false;
  #isPumping = false;
  #closed: Promise<void> | null = null;

  /** @param concurrency - 1 or more. */
  constructor(concurrency: number, desk: Desk<E>) {
    if (!(concurrency >= 1)) throw new RangeError(`concurrency: expected 1 or more, received ${concurrency}`);
    this.#concurrency = concurrency;
    this.#context = desk;
  }

  get activeCount(): number {
    return this.#running.size;
  }

  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.pump();
  }

  /** Takes what it can, a moment later: handlers never run within the call that gave them work. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      while (!this.#isPaused && this.#closed === null && this.#running.size < this.#concurrency) {
        const entry = this.#context.take();
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
    this.#context.onClosed();
  }

  #begin(entry: E): void {
    const abort = new AbortController();
    const ended = this.#context.run(entry, abort).then(() => {
      this.#running.delete(entry);
      this.pump();
    });
    this.#running.set(entry, { abort, ended });
  }
}
