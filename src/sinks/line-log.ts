import { type Clock, systemClock } from '../core/clock.ts';
import { Pause } from '../flow/pause.ts';
import { settlesWithin } from '../flow/settles-within.ts';
import type { LineTarget } from './append-file.ts';
import { attemptStep, CLOSE_MS, RETRY_MS, SYNC_MS } from './disk-work.ts';
import { keepNumbered } from './output-names.ts';
import { countLines, Rotation, type RotationPlan, wholeLines } from './rotation.ts';
import type { SinkFailureListener, SinkFigures } from './sink.ts';
import { countOf, fileFailure, hangFailure } from './sink-failure.ts';
import { diskFiles, type SinkFiles } from './sink-files.ts';

export interface LineChunk {
  /** Lines are written once they reach this size. */
  readonly chars: number;
  /** Lines are written after this time at the latest. */
  readonly ms: number;
}

/**
 * When written results are synchronised to the disk, so that they survive a power failure: left to the system, every five
 * seconds, or with each write.
 */
export type SyncPolicy = 'never' | 'interval' | 'batch';

/** One system call for some hundred results, and `tail -f` follows closely. */
const TEXT_CHUNK: LineChunk = { chars: 64 * 1024, ms: 100 };
/** If more text is pending, `write` asks the caller to wait. */
const MAX_PENDING_CHARS = 1024 * 1024;
/** A live stream cannot wait: beyond this its results are dropped and counted. */
const MAX_KEPT_CHARS = 8 * MAX_PENDING_CHARS;
/** Largest single write: a slow disk shows progress after each. */
const MAX_WRITE_BYTES = 1024 * 1024;

/** After these errors the open file stays usable. After any other failure it is reopened. */
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);
/** If the file could never be opened because of these, the path is wrong: trying again is useless. */
const WRONG_PATH: ReadonlySet<string> = new Set([
  ...['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES', 'EPERM', 'EROFS'],
]);

export interface LineLogOptions {
  readonly id: string;
  /** For messages. */
  readonly path: string;
  readonly open: () => Promise<LineTarget>;
  readonly chunk?: LineChunk | undefined;
  /**
   * Retries after a failure such as a full disk or an unreachable network disk. If false, or if the path is wrong, nothing
   * more is written after the first failure.
   */
  readonly retries: boolean;
  /** Default `interval`. */
  readonly sync?: SyncPolicy | undefined;
  /** Keeps full files as `NAME.N.EXT` and begins a new one. */
  readonly rotation?: RotationPlan | undefined;
  readonly onFailure: SinkFailureListener;
  /** Called when results are written again after a failure. */
  readonly onRecovery?: ((lostResults: number) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly files?: SinkFiles | undefined;
}

/**
 * Appends results, one per line, to a file or stream in large chunks. Opens the file itself, synchronises it to the disk,
 * rotates it, and opens a new one after another program has moved it. Memory is bounded: see `write`.
 */
export class LineLog {
  readonly #options: LineLogOptions;
  readonly #clock: Clock;
  readonly #chunk: LineChunk;
  readonly #sync: SyncPolicy;
  readonly #rotation: Rotation | null;
  #file: LineTarget | null = null;
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
  #retried = 0;
  #failure: Error | null = null;
  /** Nothing more will be written. */
  #isStopped = false;
  #wasOpened = false;
  #isFinishing = false;
  /** `finish` did not wait for the last file operation. */
  #isAbandoned = false;
  #working: Promise<void> | null = null;
  /** Finished file operations: progress for `finish`. */
  #steps = 0;
  #isSyncDue = false;
  #cancelChunkTimer: (() => void) | null = null;
  #cancelSyncTimer: (() => void) | null = null;
  readonly #pause: Pause;
  #waiting: (() => void)[] = [];

  constructor(options: LineLogOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#pause = new Pause(this.#clock);
    this.#chunk = options.chunk ?? TEXT_CHUNK;
    this.#sync = options.sync ?? 'interval';
    const { rotation } = options;
    this.#rotation = rotation === undefined ? null : new Rotation(rotation, this.#clock, () => this.#work());
    this.#work();
  }

  /**
   * Accepts lines, each one result with its line break. A caller that cannot wait may continue: beyond 8 MB results are dropped
   * and counted.
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

  get figures(): SinkFigures {
    const unwritten = this.#accepted - this.#confirmed - this.#dropped;
    return {
      problem: this.#failure === null ? null : this.#describe(this.#failure).message,
      sent: this.#confirmed,
      waiting: this.#isStopped ? 0 : unwritten,
      retried: this.#retried,
      lost: { overflow: this.#dropped, failed: this.#isStopped ? unwritten : 0 },
    };
  }

  /**
   * Writes everything out and closes the file. Call once. Gives up after five seconds without progress.
   *
   * @param seal - completes the file before it is closed.
   * @throws SINK_FAILED with the number of results that are not in it.
   */
  async finish(seal: (file: LineTarget) => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.#isFinishing = true;
    this.#pause.end();
    const isWritten = await this.#progresses(this.#writeOut());
    this.#isStopped = true;
    this.#wake();
    this.#rotation?.stop();
    for (const cancel of [this.#cancelChunkTimer, this.#cancelSyncTimer]) cancel?.();
    const isClosed = isWritten && (await this.#progresses(this.#close(seal)));
    if (!isClosed) this.#abandon();
    const { id, path } = this.#options;
    const lost = this.#accepted - this.#written;
    const failure = this.#failure ?? (lost > 0 ? new Error('the disk was full or too slow for a while') : null);
    if (failure !== null) throw fileFailure(id, path, failure, lost);
  }

  async #writeOut(): Promise<void> {
    await this.#working;
    this.#work();
    await this.#working;
  }

  /** Waits for work. @returns false if it made no progress for too long. */
  async #progresses(work: Promise<void>): Promise<boolean> {
    for (;;) {
      const before = this.#steps;
      if (await settlesWithin(work, CLOSE_MS, this.#clock)) return true;
      if (this.#steps === before) return false;
    }
  }

  async #close(seal: (file: LineTarget) => Promise<void>): Promise<void> {
    const file = this.#file;
    if (file === null) return;
    try {
      if (this.#failure === null) await seal(file);
      if (this.#sync !== 'never') await file.sync();
      this.#confirmed = this.#written;
    } catch (error) {
      this.#fail(error as Error);
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  /** Abandons a file whose operations do not end. */
  #abandon(): void {
    if (this.#failure === null) this.#fail(hangFailure(CLOSE_MS));
    this.#isAbandoned = true;
    void this.#closeFile();
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
      const error = await attemptStep(
        () => this.#step(),
        this.#clock,
        (hang) => this.#fail(hang),
      );
      this.#steps += 1;
      if (this.#isAbandoned) void this.#closeFile();
      if (this.#isStopped) return;
      if (error === null) {
        if (this.#failure !== null) this.#recover();
        if (this.#pending() === 0 && !this.#isSyncDue && this.#rotation?.isDue !== true) return;
        continue;
      }
      this.#fail(error);
      if (this.#isFinishing || this.#isStopped) return;
      if (!FULL.has((error as NodeJS.ErrnoException).code ?? '')) void this.#closeFile();
      this.#retried += 1;
      await this.#pause.wait(RETRY_MS);
    }
  }

  /** Does the next thing that is due. @returns the error if a write failed, else null. */
  async #step(): Promise<Error | null> {
    if (this.#file === null) {
      this.#file = await this.#options.open();
      if (this.#rotation !== null && this.#file.isRegular) this.#rotation.opened(await this.#file.state());
    }
    this.#wasOpened = true;
    const file = this.#file;
    if (this.#lines.length > 0) {
      this.#rest = Buffer.concat([this.#rest, Buffer.from(this.#lines.join(''))]);
      this.#lines = [];
      this.#lineChars = 0;
    }
    if (this.#rotation !== null && !file.isRegular) this.#rotation.rotated();
    else if (this.#rotation?.isOver(await file.state(), this.#rest) === true) {
      await this.#rotate(file);
      return null;
    }
    if (this.#rest.length > 0) {
      const error = await this.#append(file);
      if (error !== null) return error;
    }
    if (this.#isSyncDue) {
      if (this.#sync === 'interval') await file.sync();
      this.#isSyncDue = false;
      if (this.#options.retries && (await file.isMoved())) await this.#closeFile();
    }
    return null;
  }

  async #append(file: LineTarget): Promise<Error | null> {
    const limit = Math.min(MAX_WRITE_BYTES, this.#rotation?.roomBytes ?? Number.POSITIVE_INFINITY);
    const { keptBytes, error } = await file.append(wholeLines(this.#rest, limit));
    this.#written += countLines(this.#rest.subarray(0, keptBytes));
    this.#rest = this.#rest.subarray(keptBytes);
    if (this.#pending() < MAX_PENDING_CHARS / 2) this.#wake();
    if (keptBytes > 0) {
      if (file.isRegular) this.#rotation?.wrote();
      if (this.#sync === 'batch') await file.sync();
      this.#cancelSyncTimer ??= this.#clock.setTimer(() => this.#requestSync(), SYNC_MS);
    }
    this.#confirmed = this.#written;
    return error;
  }

  /** Keeps the file as `NAME.N.EXT`; the next step opens a new one. Each line is in one of the two. */
  async #rotate(file: LineTarget): Promise<void> {
    if (this.#sync !== 'never') await file.sync();
    await this.#closeFile();
    await keepNumbered(file.path, this.#options.files ?? diskFiles);
    this.#rotation?.rotated();
  }

  #requestSync(): void {
    this.#cancelSyncTimer = null;
    this.#isSyncDue = true;
    this.#work();
  }

  #fail(error: Error): void {
    const isFirst = this.#failure === null;
    this.#failure = error;
    if (!this.#goesOn(error)) {
      this.#isStopped = true;
      this.#lines = [];
      this.#wake();
    }
    if (isFirst) this.#options.onFailure(this.#describe(error));
  }

  /** Returns whether writing may succeed later. */
  #goesOn(error: Error): boolean {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    return this.#options.retries && (this.#wasOpened || (code !== '' && !WRONG_PATH.has(code)));
  }

  /** Closes the file; the next write opens it again. */
  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close().catch(() => undefined);
  }

  #recover(): void {
    this.#failure = null;
    this.#options.onRecovery?.(this.#droppedWhileFailing);
    this.#droppedWhileFailing = 0;
  }

  #drop(results: number): void {
    this.#dropped += results;
    this.#droppedWhileFailing += results;
    if (this.#failure !== null) return;
    this.#failure = new Error(`the disk is too slow; ${countOf(results)} lost already`);
    this.#options.onFailure(this.#describe(this.#failure));
  }

  #describe(error: Error): ReturnType<typeof fileFailure> {
    return fileFailure(this.#options.id, this.#options.path, error);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
