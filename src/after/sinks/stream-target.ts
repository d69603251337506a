import type { Writable } from 'node:stream';
import type { AppendOutcome, LineTarget } from './line-file.ts';

/** A stream, such as standard output, as a target of lines. `close` does not end it. */
export class StreamTarget implements LineTarget {
  readonly path: string;
  readonly isRegular = false;
  readonly #stream: Writable;
  #error: Error | null = null;
  #settle: ((outcome: AppendOutcome) => void) | null = null;

  constructor(path: string, stream: Writable) {
    this.path = path;
    this.#stream = stream;
    stream.on('error', this.#onError);
  }

  append(lines: Uint8Array): Promise<AppendOutcome> {
    return new Promise((resolve) => {
      if (this.#error !== null) return resolve({ keptBytes: 0, error: this.#error });
      this.#settle = resolve;
      this.#stream.write(lines, (error) => {
        resolve(error ? { keptBytes: 0, error } : { keptBytes: lines.length, error: null });
      });
    });
  }

  async state(): Promise<{ size: number; mtimeMs: number }> {
    return { size: 0, mtimeMs: 0 };
  }

  async sync(): Promise<void> {}

  async isMoved(): Promise<boolean> {
    return false;
  }

  /** The listener stays: a late error of the stream must not end the process. */
  async close(): Promise<void> {}

  readonly #onError = (error: Error): void => {
    this.#error = error;
    this.#settle?.({ keptBytes: 0, error });
  };
}
