/** Runs operations with the same key one after another, in the order of the calls; other keys do not wait. */
export class KeyedMutex {
  /** Settles with the last operation of each key that has one. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Returns the result of the operation. A failed operation does not stop the ones behind it. */
  run<T>(key: string, operation: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const result = before.then(operation);
    const settled: Promise<void> = result.then(
      () => this.#forget(key, settled),
      () => this.#forget(key, settled),
    );
    this.#last.set(key, settled);
    return result;
  }

  /** Number of keys with an operation that has not ended. */
  get size(): number {
    return this.#last.size;
  }

  #forget(key: string, settled: Promise<unknown>): void {
    if (this.#last.get(key) === settled) this.#last.delete(key);
  }
}
