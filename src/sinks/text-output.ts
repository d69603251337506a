import type { Writable } from 'node:stream';
import { type Clock, systemClock } from '../core/clock.ts';
import type { SinkFailureListener } from './sink.ts';
import { fileFailure } from './sink-failure.ts';

/** Text is written once it reaches this size: one system call for some hundred results. */
const CHUNK_CHARS = 64 * 1024;
/** Text is written after this time at the latest, so that a reader can follow closely. */
const CHUNK_MS = 100;
/** If more text is pending, `write` asks the caller to wait. */
const MAX_PENDING_CHARS = 1024 * 1024;

export interface TextOutputOptions {
  readonly id: string;
  /** For messages; `-` is standard output. */
  readonly path: string;
  /** `finish` does not end it. */
  readonly stream: Writable;
  readonly onFailure: SinkFailureListener;
  readonly clock?: Clock | undefined;
}

/**
 * Writes many small texts to a stream in large chunks, and counts how many were written. Nothing more is written after the
 * first error: a file with a gap in the middle would look complete.
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
   * Accepts a text.
   *
   * @param results - number of results in it.
   * @returns false if the caller should wait for `drained()`.
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
    return this.#pendingChars < MAX_PENDING_CHARS;
  }

  /** Resolves when less than half of `MAX_PENDING_CHARS` is pending, or nothing more will be written. */
  drained(): Promise<void> {
    if (this.#error !== null || this.#pendingChars < MAX_PENDING_CHARS) return Promise.resolve();
    return this.#waitForProgress();
  }

  /**
   * Writes everything pending. Call once.
   *
   * @throws SINK_FAILED with the number of results that were not written.
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
      if (this.#pendingChars < MAX_PENDING_CHARS / 2) this.#wake();
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
