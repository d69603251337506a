import type { SightlineError } from '../../base/errors/sightline-error.ts';
import type { LineTarget } from './line-file.ts';
import { type LineChunk, LineWriter, type LineWriterOptions, TEXT_CHUNK } from './line-writer.ts';
import { countLines } from './rotation.ts';
import type { SinkFailureListener, SinkFigures } from './sink.ts';
import { countOf, fileFailure } from './sink-failure.ts';

/** If more text is pending, `write` asks the caller to wait. */
const MAX_PENDING_CHARS = 1024 * 1024;
/** A live stream cannot wait: beyond this its results are dropped and counted. */
const MAX_KEPT_CHARS = 8 * MAX_PENDING_CHARS;
const LINE_BREAK = 0x0a;

export interface LineLogOptions extends Pick<LineWriterOptions, 'open' | 'retries' | 'sync' | 'rotation' | 'clock'> {
  readonly id: string;
  /** For messages. */
  readonly path: string;
  readonly chunk?: LineChunk | undefined;
  /** Which lines are kept while they cannot be written, beyond 8 MB. Default `oldest`. */
  readonly keeps?: 'oldest' | 'newest';
  /** Completes the file before it is closed. */
  readonly seal?: ((file: LineTarget, isComplete: boolean) => Promise<void>) | undefined;
  readonly onFailure: SinkFailureListener;
  /** Called when results are written again after a failure. */
  readonly onRecovery?: ((lostResults: number) => void) | undefined;
}

/** Results on their way to a file or stream, one per line, in memory until they are written. Memory is bounded: see `write`. */
export class LineLog {
  readonly #options: LineLogOptions;
  readonly #writer: LineWriter;
  #lines: string[] = [];
  #lineChars = 0;
  /** Text of a write that failed or was too large for one; whole lines. */
  #rest: Uint8Array = new Uint8Array(0);
  #accepted = 0;
  #written = 0;
  /** Results written as durably as the policy requires. */
  #confirmed = 0;
  #dropped = 0;
  #droppedWhileFailing = 0;
  #isFinishing = false;
  #waiting: (() => void)[] = [];
  /** Who waits for a line to be in the file, in their order; `after` so many results that were not dropped when they came. */
  #keeping: { readonly after: number; readonly onKept: () => void }[] = [];

  constructor(options: LineLogOptions) {
    this.#options = options;
    const { open, retries, sync, rotation, clock, chunk = TEXT_CHUNK } = options;
    this.#writer = new LineWriter({
      open,
      retries,
      sync,
      rotation,
      clock,
      chunk,
      source: {
        isPending: () => this.#pending() > 0,
        next: () => this.#next(),
        wrote: (bytes) => this.#wrote(bytes),
        synced: () => {
          this.#confirmed = this.#written;
          while (this.#keeping.length > 0 && this.#keeping[0]!.after <= this.#confirmed)
            this.#keeping.shift()!.onKept();
        },
      },
      onFailure: (error) => options.onFailure(this.#describe(error)),
      onRecovery: () => {
        options.onRecovery?.(this.#droppedWhileFailing);
        this.#droppedWhileFailing = 0;
      },
      onStop: () => {
        this.#lines = [];
        // What is not in the file is lost, and counted.
        for (const { onKept } of this.#keeping.splice(0)) onKept();
        this.#wake();
      },
    });
  }

  /**
   * Accepts lines, each one result with its line break. A caller that cannot wait may continue: beyond 8 MB results are dropped,
   * the newest or the oldest ones, and counted.
   *
   * @param onKept - called once when they are written as durably as the policy requires, or are lost. Only of a log that keeps the oldest.
   * @returns false when the caller should wait for `drained()`.
   */
  write(lines: string, results: number, onKept?: () => void): boolean {
    this.#accepted += results;
    if (this.#writer.isStopped || results === 0) {
      onKept?.();
      return true;
    }
    if (!this.#keepsNewest && this.#pending() > MAX_KEPT_CHARS) {
      this.#drop(results);
      onKept?.();
      return false;
    }
    if (onKept !== undefined) this.#keeping.push({ after: this.#accepted - this.#dropped, onKept });
    this.#lines.push(lines);
    this.#lineChars += lines.length;
    // A write that hangs still holds `#rest`.
    while (this.#keepsNewest && this.#lineChars > MAX_KEPT_CHARS) {
      const oldest = this.#lines.shift()!;
      this.#lineChars -= oldest.length;
      this.#drop(countLines(Buffer.from(oldest)));
    }
    this.#writer.added(this.#lineChars);
    return this.#pending() < MAX_PENDING_CHARS;
  }

  /** Resolves when less than half of `MAX_PENDING_CHARS` is pending, nothing more will be written, or `finish` is called. */
  drained(): Promise<void> {
    if (this.#writer.isStopped || this.#isFinishing || this.#pending() < MAX_PENDING_CHARS) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when everything so far was written, or could not be. */
  flush(): Promise<void> {
    return this.#writer.flush();
  }

  get figures(): SinkFigures {
    const { failure, isStopped, retried } = this.#writer;
    const unwritten = this.#accepted - this.#confirmed - this.#dropped;
    return {
      problem: failure === null ? null : this.#describe(failure).message,
      sent: this.#confirmed,
      waiting: isStopped ? 0 : unwritten,
      retried,
      lost: { overflow: this.#dropped, failed: isStopped ? unwritten : 0 },
    };
  }

  /**
   * Writes everything out and closes the file. Call once. Gives up after five seconds without progress.
   *
   * @param isComplete - true if the inputs were read to their end.
   * @throws SINK_FAILED with the number of results that are not in it.
   */
  async finish(isComplete = true): Promise<void> {
    this.#isFinishing = true;
    await this.#writer.finish(async (file) => this.#options.seal?.(file, isComplete));
    const lost = this.#accepted - this.#written;
    const slow = lost > 0 ? new Error('the disk was full or too slow for a while') : null;
    const failure = this.#writer.failure ?? slow;
    if (failure !== null) throw this.#describe(failure, lost);
  }

  get #keepsNewest(): boolean {
    return this.#options.keeps === 'newest';
  }

  #pending(): number {
    return this.#lineChars + this.#rest.length;
  }

  #next(): Uint8Array {
    if (this.#lines.length > 0) {
      this.#rest = Buffer.concat([this.#rest, Buffer.from(this.#lines.join(''))]);
      this.#lines = [];
      this.#lineChars = 0;
    }
    const excess = this.#rest.length - MAX_KEPT_CHARS;
    if (this.#keepsNewest && excess > 0) {
      const end = this.#rest.indexOf(LINE_BREAK, excess - 1) + 1;
      this.#drop(countLines(this.#rest.subarray(0, end)));
      this.#rest = this.#rest.subarray(end);
    }
    return this.#rest;
  }

  #wrote(bytes: number): void {
    this.#written += countLines(this.#rest.subarray(0, bytes));
    this.#rest = this.#rest.subarray(bytes);
    if (this.#pending() < MAX_PENDING_CHARS / 2) this.#wake();
  }

  #drop(results: number): void {
    this.#dropped += results;
    this.#droppedWhileFailing += results;
    if (this.#writer.failure === null)
      this.#writer.report(new Error(`the disk is too slow; ${countOf(results)} lost already`));
  }

  #describe(error: Error, lostResults?: number): SightlineError {
    return fileFailure(this.#options.id, this.#options.path, error, lostResults);
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
