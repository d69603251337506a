import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What must be written out before a process that met an unforeseen exception ends: results that were published and are
 * still in memory, and the indexes of files. Commands add what they opened; the entry point runs it.
 */
export class CrashFlush {
  readonly #flushes = new Set<() => Promise<unknown>>();

  /** @returns a function that takes it out again, for when it was closed in order. */
  add(flush: () => Promise<unknown>): () => void {
    this.#flushes.add(flush);
    return () => this.#flushes.delete(flush);
  }

  /**
   * Runs all of them at once; never rejects, since nothing can be trusted any more.
   *
   * @returns false where some did not end within `limitMs`.
   */
  async run(limitMs: number): Promise<boolean> {
    const all = Array.from(this.#flushes, async (flush) => flush());
    return Promise.race([Promise.allSettled(all).then(() => true), sleep(limitMs, false)]);
  }
}
