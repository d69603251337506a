/** State of a worker at one moment. */
export interface WorkerSample {
  /** Tasks that could be taken now. */
  readonly ready: number;
  /** The worker may take a task: it is not paused and runs fewer than `concurrency`. */
  readonly hasRoom: boolean;
  /** Tasks taken since the start. */
  readonly taken: number;
}

/**
 * Detects a worker that takes no tasks although it could. After Redis was unreachable, a BullMQ worker can stay stuck
 * forever while all its connections look healthy.
 */
export class WorkerWatch {
  readonly #timeoutMs: number;
  #idleSinceMs: number | null = null;
  #taken = 0;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** @returns whether the worker must be replaced. */
  isStuck(nowMs: number, { ready, hasRoom, taken }: WorkerSample): boolean {
    if (ready === 0 || !hasRoom || taken !== this.#taken) this.#idleSinceMs = null;
    else this.#idleSinceMs ??= nowMs;
    this.#taken = taken;
    return this.#idleSinceMs !== null && nowMs - this.#idleSinceMs >= this.#timeoutMs;
  }

  /** Restarts the idle time: Redis did not answer, or the worker was replaced. */
  reset(): void {
    this.#idleSinceMs = null;
  }
}
