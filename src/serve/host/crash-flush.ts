import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What must be written before a process ends after an unexpected exception: published results that are still in memory,
 * and the indexes of files. Commands add what they opened; the entry point runs it.
 */
export class CrashFlush {
  readonly #flushes = new Set<() => Promise<unknown>>();

  /** @returns a function that removes it, for after a regular close. */
  add(flush: () => Promise<unknown>): () => void {
    this.#flushes.add(flush);
    return () => this.#flushes.delete(flush);
  }

  /**
   * Runs all of them concurrently; never rejects, since the process is in an unknown state.
   *
   * @returns false if some did not end within `limitMs`.
   */
  async run(limitMs: number): Promise<boolean> {
    const all = Array.from(this.#flushes, async (flush) => flush());
    return Promise.race([Promise.allSettled(all).then(() => true), sleep(limitMs, false)]);
  }
}
