/**
 * Lets many operations run at once, or one alone: that one waits for those under way, and later ones wait for it.
 */
export class SharedGate {
  readonly #underWay = new Set<Promise<unknown>>();
  #alone: Promise<unknown> = Promise.resolve();

  /** Runs an operation beside others of its kind. */
  async pass<T>(operation: () => Promise<T>): Promise<T> {
    for (let waitedFor: Promise<unknown> | null = null; waitedFor !== this.#alone; ) {
      waitedFor = this.#alone;
      await waitedFor;
    }
    const result = operation();
    this.#underWay.add(result);
    try {
      return await result;
    } finally {
      this.#underWay.delete(result);
    }
  }

  /** Runs an operation while no other one runs. A failed operation does not stop the ones behind it. */
  alone<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#alone.then(async () => {
      await Promise.allSettled(this.#underWay);
      return operation();
    });
    this.#alone = result.catch(() => undefined);
    return result;
  }
}
