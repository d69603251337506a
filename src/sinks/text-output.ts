import type { Writable } from 'node:stream';
import { type Clock, systemClock } from '../core/clock.ts';
import type { SinkFailureListener } from './sink.ts';
import { fileFailure } from './sink-failure.ts';

/** Written at once from this size on: one system call for some hundred results. */
const CHUNK_CHARS = 64 * 1024;
/** Written at the latest after this, so that somebody who watches the file sees it grow. */
const CHUNK_MS = 100;
/** Text that waits for the disk; from here on the caller should wait. */
const MOST_PENDING_CHARS = 1024 * 1024;

export interface TextOutputOptions {
  readonly id: string;
  /** For messages; `-` is standard output. */
  readonly path: string;
  /** Is not ended. */
  readonly stream: Writable;
  readonly onFailure: SinkFailureListener;
  readonly clock?: Clock | undefined;
}

/**
 * Writes many small texts to a stream in large pieces, and knows how many of them arrived. After the first error
 * nothing more is written: a file that lacks a piece in the middle would look whole.
 */
export class TextOutput {
  readonly #options: TextOutputOptions;
  readonly #clock: Clock;
  #chunk: string[] = [];
  #chunkChars = 0;
  #chunkResults = 0;
  #cancelTimer: (() => void) | null = null;
  #pendingChars = 0;
  #acceptedResults = 0;
  #writtenResults = 0;
  #error: Error | null = null;
  #waiting: (() => void)[] = [];

  constructor(options: TextOutputOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    options.stream.on('error', (error: Error) => this.#fail(error));
  }

  /**
   * Takes a text over.
   *
   * @param results - how many results it holds.
   * @returns false when the caller should wait for `drained()`.
   */
  write(text: string, results: number): boolean {
    this.#acceptedResults += results;
    if (this.#error !== null || text === '') return true;
    this.#chunk.push(text);
    this.#chunkChars += text.length;
    this.#chunkResults += results;
    this.#pendingChars += text.length;
    if (this.#chunkChars >= CHUNK_CHARS) this.#flush();
    else this.#cancelTimer ??= this.#clock.setTimer(() => this.#flush(), CHUNK_MS);
    return this.#pendingChars < MOST_PENDING_CHARS;
  }

  /** Resolves when less than half of what may wait is waiting, or nothing more will be written. */
  drained(): Promise<void> {
    if (this.#error !== null || this.#pendingChars < MOST_PENDING_CHARS) return Promise.resolve();
    return this.#waitForProgress();
  }

  /**
   * Writes out everything. Call once.
   *
   * @throws SINK_FAILED with the number of results that did not arrive.
   */
  async finish(): Promise<void> {
    this.#flush();
    while (this.#pendingChars > 0 && this.#error === null) await this.#waitForProgress();
    if (this.#error === null) return;
    const { id, path } = this.#options;
    throw fileFailure(id, path, this.#error, this.#acceptedResults - this.#writtenResults);
  }

  #flush(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (this.#chunk.length === 0 || this.#error !== null) return;
    const text = this.#chunk.join('');
    const results = this.#chunkResults;
    this.#chunk = [];
    this.#chunkChars = 0;
    this.#chunkResults = 0;
    this.#options.stream.write(text, (error) => {
      if (error) return this.#fail(error);
      this.#writtenResults += results;
      this.#pendingChars -= text.length;
      if (this.#pendingChars < MOST_PENDING_CHARS / 2) this.#wake();
    });
  }

  #fail(error: Error): void {
    if (this.#error !== null) return;
    this.#error = error;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#chunk = [];
    this.#wake();
    this.#options.onFailure(fileFailure(this.#options.id, this.#options.path, error));
  }

  #waitForProgress(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
