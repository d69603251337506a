/** What is seen of a worker at one moment. */
export interface WorkerSight {
  /** Tasks that could be taken now. */
  readonly ready: number;
  /** It may take one: it is not paused and has not its fill. */
  readonly hasRoom: boolean;
  /** Tasks that it has taken since its start. */
  readonly taken: number;
}

/**
 * Notices a worker that takes nothing although it could: after Redis was away, a worker of the queue's library can stay
 * deaf for ever while all its connections look well.
 */
export class WorkerWatch {
  readonly #patienceMs: number;
  #idleSinceMs: number | null = null;
  #taken = 0;

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** @returns whether it is to be replaced. */
  isDeaf(nowMs: number, { ready, hasRoom, taken }: WorkerSight): boolean {
    if (ready === 0 || !hasRoom || taken !== this.#taken) this.#idleSinceMs = null;
    else this.#idleSinceMs ??= nowMs;
    this.#taken = taken;
    return this.#idleSinceMs !== null && nowMs - this.#idleSinceMs >= this.#patienceMs;
  }

  /** Nothing could be seen, or everything is new. */
  reset(): void {
    this.#idleSinceMs = null;
  }
}
