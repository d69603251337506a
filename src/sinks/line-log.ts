import { type Clock, systemClock } from '../core/clock.ts';
import type { AppendFile } from './append-file.ts';
import type { SinkFailureListener } from './sink.ts';
import { countOf, fileFailure } from './sink-failure.ts';

export interface LineChunk {
  /** Lines are written once they reach this size. */
  readonly chars: number;
  /** Lines are written after this time at the latest. */
  readonly ms: number;
}

/** One system call for some hundred results, and `tail -f` follows closely. */
const TEXT_CHUNK: LineChunk = { chars: 64 * 1024, ms: 100 };
/** If more text is pending, `write` asks the caller to wait. */
const MAX_PENDING_CHARS = 1024 * 1024;
/** A live stream cannot wait: beyond this its results are dropped and counted. */
const MAX_KEPT_CHARS = 8 * MAX_PENDING_CHARS;
/** Interval of synchronisation. A power failure loses at most what was written in this time. */
const SYNC_MS = 5000;
const RETRY_MS = 1000;

/** After these errors the open file stays usable. After any other failure it is reopened. */
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

export interface LineLogOptions {
  readonly id: string;
  /** For messages. */
  readonly path: string;
  readonly open: () => Promise<AppendFile>;
  readonly chunk?: LineChunk | undefined;
  /**
   * Retries after a failure such as a full disk or an unreachable network disk. If false, or if the file could never be
   * opened, nothing more is written after the first failure.
   */
  readonly retries: boolean;
  readonly onFailure: SinkFailureListener;
  /** Called when results are written again after a failure. */
  readonly onRecovery?: ((lostResults: number) => void) | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Appends results, one per line, to a file in large chunks. Opens the file itself, synchronises it to the disk every five
 * seconds, and opens a new one after log rotation has moved it.
 */
export class LineLog {
  readonly #options: LineLogOptions;
  readonly #clock: Clock;
  readonly #chunk: LineChunk;
  #file: AppendFile | null = null;
  #lines: string[] = [];
  #lineChars = 0;
  /** The unwritten part of a failed write. */
  #rest: Uint8Array = new Uint8Array(0);
  #accepted = 0;
  #written = 0;
  #lostWhileFailing = 0;
  #failure: Error | null = null;
  /** Nothing more will be written. */
  #isStopped = false;
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
    this.#chunk = options.chunk ?? TEXT_CHUNK;
    this.#work();
  }

  /**
   * Accepts lines, each one result with its line break.
   *
   * @returns false when the caller should wait for `drained()`.
   */
  write(lines: string, results: number): boolean {
    this.#accepted += results;
    if (this.#isStopped || results === 0) return true;
    if (this.#pending() > MAX_KEPT_CHARS) {
      this.#drop(results);
      return false;
    }
    this.#lines.push(lines);
    this.#lineChars += lines.length;
    if (this.#lineChars >= this.#chunk.chars) this.#work();
    else this.#cancelChunkTimer ??= this.#clock.setTimer(() => this.#work(), this.#chunk.ms);
    return this.#pending() < MAX_PENDING_CHARS;
  }

  /** Resolves when less than half of `MAX_PENDING_CHARS` is pending, nothing more will be written, or `finish` is called. */
  drained(): Promise<void> {
    if (this.#isStopped || this.#isFinishing || this.#pending() < MAX_PENDING_CHARS) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * Writes everything out and closes the file. Call once.
   *
   * @param seal - completes the file before it is closed.
   * @throws SINK_FAILED with the number of results that are not in it.
   */
  async finish(seal: (file: AppendFile) => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.#isFinishing = true;
    this.#cancelRetry?.();
    await this.#working;
    this.#work();
    await this.#working;
    this.#isStopped = true;
    this.#wake();
    for (const cancel of [this.#cancelChunkTimer, this.#cancelSyncTimer]) cancel?.();
    await this.#close(seal);
    const lost = this.#accepted - this.#written;
    const failure = this.#failure ?? (lost > 0 ? new Error('the disk was full or too slow for a while') : null);
    if (failure !== null) throw fileFailure(this.#options.id, this.#options.path, failure, lost);
  }

  async #close(seal: (file: AppendFile) => Promise<void>): Promise<void> {
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

  /** Opens, writes and synchronises as long as there is something to do. Has no effect while it is already running. */
  #work(): void {
    this.#cancelChunkTimer?.();
    this.#cancelChunkTimer = null;
    if (this.#isStopped || this.#working !== null) return;
    this.#working = this.#runWork().finally(() => {
      this.#working = null;
      if (this.#lineChars >= this.#chunk.chars) this.#work();
    });
  }

  async #runWork(): Promise<void> {
    for (;;) {
      const error = await this.#step().catch((thrown: Error) => thrown);
      if (error === null) {
        if (this.#failure !== null) this.#recover();
        if (this.#pending() === 0 && !this.#isSyncDue) return;
        continue;
      }
      this.#fail(error);
      if (this.#isStopped || this.#isFinishing) return;
      await this.#pause();
    }
  }

  /** Writes everything pending. @returns the error if that failed, else null. */
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
      if (this.#pending() < MAX_PENDING_CHARS / 2) this.#wake();
      if (keptBytes > 0) this.#cancelSyncTimer ??= this.#clock.setTimer(() => this.#sync(), SYNC_MS);
      if (error !== null) return error;
    }
    if (this.#isSyncDue) {
      await file.sync();
      this.#isSyncDue = false;
      if (this.#options.retries && (await file.isMoved())) await this.#closeFile();
    }
    return null;
  }

  #sync(): void {
    this.#cancelSyncTimer = null;
    this.#isSyncDue = true;
    this.#work();
  }

  #fail(error: Error): void {
    const { id, path, retries, onFailure } = this.#options;
    const isFirst = this.#failure === null;
    const isFull = FULL.has((error as NodeJS.ErrnoException).code ?? '');
    this.#failure = error;
    if (!retries || !(this.#wasOpened || isFull) || this.#file?.isRegular === false) {
      this.#isStopped = true;
      this.#lines = [];
      this.#wake();
    } else if (!isFull && !this.#isFinishing) void this.#closeFile();
    if (isFirst) onFailure(fileFailure(id, path, error));
  }

  /** Closes the file; the next write opens it again. */
  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close().catch(() => undefined);
  }

  #recover(): void {
    this.#failure = null;
    this.#options.onRecovery?.(this.#lostWhileFailing);
    this.#lostWhileFailing = 0;
  }

  #drop(results: number): void {
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
