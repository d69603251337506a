import { type Clock, systemClock } from '../core/clock.ts';
import type { LineFile } from './line-file.ts';
import type { SinkFailureListener } from './sink.ts';
import { countOf, fileFailure } from './sink-failure.ts';

/** Written at once from this size on: one system call for some hundred results. */
const CHUNK_CHARS = 64 * 1024;
/** Written at the latest after this, so that somebody who watches the file sees it grow. */
const CHUNK_MS = 100;
/** Text that waits for the disk; from here on the caller should wait. */
const MOST_PENDING_CHARS = 1024 * 1024;
/** A live stream cannot wait: beyond this its results are lost, and counted. */
const MOST_KEPT_CHARS = 8 * MOST_PENDING_CHARS;
/** A power cut takes no more than was written in this time. */
const SYNC_MS = 5000;
const RETRY_MS = 1000;

/** The open file is as good as before when these have passed. After any other failure it is opened anew. */
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

export interface LineLogOptions {
  readonly id: string;
  /** For messages. */
  readonly path: string;
  readonly open: () => Promise<LineFile>;
  /**
   * Tries again after a failure: the disk is full, a network disk is away. Otherwise, and where the file could never be opened,
   * the first failure is the last, and nothing more is written.
   */
  readonly goesOn: boolean;
  readonly onFailure: SinkFailureListener;
  /** Results are written again after a failure. */
  readonly onRecovery?: ((lostResults: number) => void) | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Appends results, one a line, to a file in large pieces. It opens the file itself, brings it to the disk every five
 * seconds, and opens it anew when it was moved away (log rotation).
 */
export class LineLog {
  readonly #options: LineLogOptions;
  readonly #clock: Clock;
  #file: LineFile | null = null;
  #lines: string[] = [];
  #lineChars = 0;
  /** What a failed write left over. */
  #rest: Uint8Array = new Uint8Array(0);
  #accepted = 0;
  #written = 0;
  #lostWhileFailing = 0;
  #failure: Error | null = null;
  /** Nothing more will be written. */
  #isOver = false;
  #wasOpened = false;
  #isFinishing = false;
  #working: Promise<void> | null = null;
  #isSyncDue = false;
  #cancelChunkTimer: (() => void) | null = null;
  #cancelSyncTimer: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;
  #waiting: (() => void)[] = [];

  constructor(options: LineLogOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#work();
  }

  /**
   * Takes lines over, each one result with its line break.
   *
   * @returns false when the caller should wait for `drained()`.
   */
  write(lines: string, results: number): boolean {
    this.#accepted += results;
    if (this.#isOver || results === 0) return true;
    if (this.#pending() > MOST_KEPT_CHARS) {
      this.#lose(results);
      return false;
    }
    this.#lines.push(lines);
    this.#lineChars += lines.length;
    if (this.#lineChars >= CHUNK_CHARS) this.#work();
    else this.#cancelChunkTimer ??= this.#clock.setTimer(() => this.#work(), CHUNK_MS);
    return this.#pending() < MOST_PENDING_CHARS;
  }

  /** Resolves when less than half of what may wait is waiting, nothing more will be written, or it is finished. */
  drained(): Promise<void> {
    if (this.#isOver || this.#isFinishing || this.#pending() < MOST_PENDING_CHARS) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * Writes everything out and closes the file. Call once.
   *
   * @param seal - what is to be done with the file before it is closed.
   * @throws SINK_FAILED with the number of results that are not in it.
   */
  async finish(seal: (file: LineFile) => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.#isFinishing = true;
    this.#cancelRetry?.();
    await this.#working;
    this.#work();
    await this.#working;
    this.#isOver = true;
    this.#wake();
    for (const cancel of [this.#cancelChunkTimer, this.#cancelSyncTimer]) cancel?.();
    await this.#close(seal);
    const lost = this.#accepted - this.#written;
    const failure = this.#failure ?? (lost > 0 ? new Error('the disk was full or too slow for a while') : null);
    if (failure !== null) throw fileFailure(this.#options.id, this.#options.path, failure, lost);
  }

  async #close(seal: (file: LineFile) => Promise<void>): Promise<void> {
    const file = this.#file;
    if (file === null) return;
    try {
      if (this.#failure === null) await seal(file);
      await file.sync();
    } catch (error) {
      this.#fail(error as Error);
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  #pending(): number {
    return this.#lineChars + this.#rest.length;
  }

  /** One at a time: opens, writes and synchronises as long as there is something to do. */
  #work(): void {
    this.#cancelChunkTimer?.();
    this.#cancelChunkTimer = null;
    if (this.#isOver || this.#working !== null) return;
    this.#working = this.#workOff().finally(() => {
      this.#working = null;
      if (this.#lineChars >= CHUNK_CHARS) this.#work();
    });
  }

  async #workOff(): Promise<void> {
    for (;;) {
      const error = await this.#step().catch((thrown: Error) => thrown);
      if (error === null) {
        if (this.#failure !== null) this.#recover();
        if (this.#pending() === 0 && !this.#isSyncDue) return;
        continue;
      }
      this.#fail(error);
      if (this.#isOver || this.#isFinishing) return;
      await this.#pause();
    }
  }

  /** Writes what there is. @returns why that failed. */
  async #step(): Promise<Error | null> {
    this.#file ??= await this.#options.open();
    this.#wasOpened = true;
    const file = this.#file;
    if (this.#lines.length > 0) {
      this.#rest = Buffer.concat([this.#rest, Buffer.from(this.#lines.join(''))]);
      this.#lines = [];
      this.#lineChars = 0;
    }
    if (this.#rest.length > 0) {
      const { keptBytes, error } = await file.append(this.#rest);
      this.#written += countLines(this.#rest.subarray(0, keptBytes));
      this.#rest = this.#rest.subarray(keptBytes);
      if (this.#pending() < MOST_PENDING_CHARS / 2) this.#wake();
      if (keptBytes > 0) this.#cancelSyncTimer ??= this.#clock.setTimer(() => this.#sync(), SYNC_MS);
      if (error !== null) return error;
    }
    if (this.#isSyncDue) {
      await file.sync();
      this.#isSyncDue = false;
      if (this.#options.goesOn && (await file.isMoved())) await this.#letGo();
    }
    return null;
  }

  #sync(): void {
    this.#cancelSyncTimer = null;
    this.#isSyncDue = true;
    this.#work();
  }

  #fail(error: Error): void {
    const { id, path, goesOn, onFailure } = this.#options;
    const isFirst = this.#failure === null;
    const isFull = FULL.has((error as NodeJS.ErrnoException).code ?? '');
    this.#failure = error;
    if (!goesOn || !(this.#wasOpened || isFull) || this.#file?.isRegular === false) {
      this.#isOver = true;
      this.#lines = [];
      this.#wake();
    } else if (!isFull && !this.#isFinishing) void this.#letGo();
    if (isFirst) onFailure(fileFailure(id, path, error));
  }

  /** It is opened anew before the next write. */
  async #letGo(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close().catch(() => undefined);
  }

  #recover(): void {
    this.#failure = null;
    this.#options.onRecovery?.(this.#lostWhileFailing);
    this.#lostWhileFailing = 0;
  }

  #lose(results: number): void {
    const { id, path, onFailure } = this.#options;
    if (this.#failure === null) {
      this.#failure = new Error(`the disk is too slow; ${countOf(results)} lost already`);
      onFailure(fileFailure(id, path, this.#failure));
    }
    this.#lostWhileFailing += results;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.#cancelRetry = null;
        cancel();
        resolve();
      };
      const cancel = this.#clock.setTimer(end, RETRY_MS);
      this.#cancelRetry = end;
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (const byte of bytes) if (byte === 0x0a) lines += 1;
  return lines;
}
