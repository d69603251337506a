import { type Clock, systemClock } from '../../base/core/clock.ts';
import { patientTimer } from '../../base/flow/patient-timer.ts';
import { Pause } from '../../base/flow/pause.ts';
import { settlesWithin } from '../../base/flow/settles-within.ts';
import type { LineKind, LineTarget } from './line-file.ts';
import { Rotation, type RotationPlan, wholeLines } from './rotation.ts';
import { hangFailure } from './sink-failure.ts';

export interface LineChunk {
  /** Lines are written once they reach this size. */
  readonly chars: number;
  /** Lines are written after this time at the latest. */
  readonly ms: number;
}

/** Each line is written when it comes. */
export const AT_ONCE: LineChunk = { chars: 1, ms: 0 };
/** One system call for some hundred results, and `tail -f` follows closely. */
export const TEXT_CHUNK: LineChunk = { chars: 64 * 1024, ms: 100 };
/**
 * Each chunk becomes one member, and members shorter than zlib's window of 32 KB compress badly. One stream makes about 15 KB
 * of text a second; a crash loses at most a second.
 */
const COMPRESSED_CHUNK: LineChunk = { chars: 256 * 1024, ms: 1000 };

export function chunkOf({ compression }: LineKind): LineChunk {
  return compression == null ? TEXT_CHUNK : COMPRESSED_CHUNK;
}

/**
 * When written results are synchronised to the disk, so that they survive a power failure: left to the system, every five
 * seconds, or with each write.
 */
export type SyncPolicy = 'never' | 'interval' | 'batch';

/** Interval at which results are synchronised to the disk with policy `interval`. */
const SYNC_MS = 5000;
/** Pause before a file operation that failed is tried again. */
export const RETRY_MS = 1000;
/** Closing a file gives up after this time without progress. */
export const CLOSE_MS = 5000;
/** A file operation that takes longer is reported. */
const HANG_MS = 10_000;
/** Largest single write: a slow disk shows progress after each. */
const MAX_WRITE_BYTES = 1024 * 1024;

/** After these errors the open file stays usable. After any other failure it is reopened. */
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);
/** If the file could never be opened because of these, the path is wrong. */
const WRONG_PATH: ReadonlySet<string> = new Set([
  ...['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES', 'EPERM', 'EROFS'],
]);

/** The lines that wait to be written. */
interface LineSource {
  /** Returns whether there is something to do. */
  isPending(): boolean;
  /** Returns whole lines to write next, oldest first, possibly none. They stay until `wrote`. What it throws is a failure of the disk. */
  next(): Uint8Array | Promise<Uint8Array>;
  /** So many bytes of these lines are in the file: whole lines. */
  wrote(bytes: number): void;
  /** All that was written is as durable as the policy requires. */
  synced?(): void;
}

export interface LineWriterOptions {
  readonly source: LineSource;
  readonly open: () => Promise<LineTarget>;
  readonly chunk: LineChunk;
  /**
   * After which failures, such as a full disk or an unreachable network disk, writing is tried again: after all, after all but a path
   * that is wrong from the start, or after none. Else nothing more is written.
   */
  readonly retries: 'always' | 'unless-wrong-path' | 'never';
  /** Default `interval`. */
  readonly sync?: SyncPolicy | undefined;
  /** Begins a new file when one is full. */
  readonly rotation?: RotationPlan | undefined;
  /** Called for the first of several failures. */
  readonly onFailure: (error: Error) => void;
  /** Called when lines are written again after a failure. */
  readonly onRecovery: () => void;
  /** Called when nothing more will be written. */
  readonly onStop?: () => void;
  readonly clock?: Clock | undefined;
}

/**
 * Keeps a file of lines: opens it, appends what its source has in large chunks, synchronises it to the disk, rotates it, opens a new one
 * after another program has moved it, and tries again after failures. Does one file operation at a time.
 */
export class LineWriter {
  readonly #options: LineWriterOptions;
  readonly #clock: Clock;
  readonly #sync: SyncPolicy;
  readonly #rotation: Rotation | null;
  readonly #pause: Pause;
  #file: LineTarget | null = null;
  #retried = 0;
  #failure: Error | null = null;
  #isStopped = false;
  #wasOpened = false;
  #isFinishing = false;
  /** `finish` did not wait for the last file operation. */
  #isAbandoned = false;
  #working: Promise<void> | null = null;
  /** There may be something to do that the work under way has not seen. */
  #isRequested = false;
  /** Finished file operations: progress for `finish`. */
  #steps = 0;
  #isSyncDue = false;
  #cancelChunkTimer: (() => void) | null = null;
  #cancelSyncTimer: (() => void) | null = null;
  readonly #flushes: (() => void)[] = [];

  /** Opens the file. */
  constructor(options: LineWriterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#pause = new Pause(this.#clock);
    this.#sync = options.sync ?? 'interval';
    const { rotation } = options;
    this.#rotation = rotation === undefined ? null : new Rotation(rotation, this.#clock, () => this.#work());
    this.#work();
  }

  /** Why nothing can be written now; null if it can. */
  get failure(): Error | null {
    return this.#failure;
  }

  /** Nothing more will be written. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Attempts after a failure. */
  get retried(): number {
    return this.#retried;
  }

  /** Call it when lines were added. @param pendingChars - of all that were added since the last call of `next`. */
  added(pendingChars: number): void {
    const { chars, ms } = this.#options.chunk;
    if (pendingChars >= chars) this.#work();
    else this.#cancelChunkTimer ??= this.#clock.setTimer(() => this.#work(), ms);
  }

  /** Resolves when everything so far was written, or could not be. */
  async flush(): Promise<void> {
    if (this.#isStopped) return;
    this.#isSyncDue = true;
    this.#work();
    this.#pause.end();
    await new Promise<void>((resolve) => this.#flushes.push(resolve));
  }

  /** Reports a problem of the source, which lasts until the next successful operation. */
  report(problem: Error): void {
    this.#failure = problem;
    this.#options.onFailure(problem);
  }

  /**
   * Writes everything out and closes the file. Call once. Gives up after five seconds without progress.
   *
   * @param seal - completes the file before it is closed.
   * @returns false if a file operation did not end.
   */
  async finish(seal: (file: LineTarget) => Promise<void> = () => Promise.resolve()): Promise<boolean> {
    this.#isFinishing = true;
    this.#pause.end();
    const isWritten = await this.#progresses(this.#writeOut());
    this.#stop();
    this.#rotation?.stop();
    for (const cancel of [this.#cancelChunkTimer, this.#cancelSyncTimer]) cancel?.();
    const isClosed = isWritten && (await this.#progresses(this.#close(seal)));
    if (!isClosed) this.#abandon();
    return isClosed;
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
      this.#options.source.synced?.();
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

  /** Opens, writes and synchronises as long as there is something to do. */
  #work(): void {
    this.#cancelChunkTimer?.();
    this.#cancelChunkTimer = null;
    this.#isRequested = true;
    if (this.#isStopped || this.#working !== null) return;
    this.#working = this.#runWork().finally(() => {
      this.#working = null;
      if (this.#isRequested && !this.#isFinishing && !this.#isStopped) this.#work();
      else this.#endFlushes();
    });
  }

  async #runWork(): Promise<void> {
    for (;;) {
      this.#isRequested = false;
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
        if (!this.#options.source.isPending() && !this.#isSyncDue && this.#rotation?.isDue !== true) return;
        continue;
      }
      this.#fail(error);
      if (this.#isFinishing || this.#isStopped) return;
      if (!FULL.has(codeOf(error))) void this.#closeFile();
      this.#retried += 1;
      this.#endFlushes();
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
    const lines = await this.#options.source.next();
    if (this.#rotation !== null && !file.isRegular) this.#rotation.rotated();
    else if (this.#rotation?.isOver(await file.state(), lines) === true) {
      await this.#rotate(file, this.#rotation);
      return null;
    }
    if (lines.length > 0) {
      const error = await this.#append(file, lines);
      if (error !== null) return error;
    }
    if (this.#isSyncDue) {
      if (this.#sync === 'interval') await file.sync();
      this.#isSyncDue = false;
      if (this.#options.retries !== 'never' && (await file.isMoved())) await this.#closeFile();
    }
    return null;
  }

  async #append(file: LineTarget, lines: Uint8Array): Promise<Error | null> {
    const { source } = this.#options;
    const limit = Math.min(MAX_WRITE_BYTES, this.#rotation?.roomBytes ?? Number.POSITIVE_INFINITY);
    const { keptBytes, error } = await file.append(wholeLines(lines, limit));
    source.wrote(keptBytes);
    if (keptBytes > 0) {
      if (file.isRegular) this.#rotation?.wrote();
      if (this.#sync === 'batch') await file.sync();
      this.#cancelSyncTimer ??= this.#clock.setTimer(() => this.#requestSync(), SYNC_MS);
    }
    source.synced?.();
    return error;
  }

  /** Puts the file aside; the next step opens a new one. Each line is in one of the two. */
  async #rotate(file: LineTarget, rotation: Rotation): Promise<void> {
    if (this.#sync !== 'never') await file.sync();
    await this.#closeFile();
    await rotation.keep(file.path);
    rotation.rotated();
  }

  #requestSync(): void {
    this.#cancelSyncTimer = null;
    this.#isSyncDue = true;
    this.#work();
  }

  #fail(error: Error): void {
    const isFirst = this.#failure === null;
    this.#failure = error;
    if (!this.#goesOn(error)) this.#stop();
    if (isFirst) this.#options.onFailure(error);
  }

  /** Returns whether writing may succeed later. */
  #goesOn(error: Error): boolean {
    const { retries } = this.#options;
    if (retries !== 'unless-wrong-path') return retries === 'always';
    const code = codeOf(error);
    return this.#wasOpened || (code !== '' && !WRONG_PATH.has(code));
  }

  #endFlushes(): void {
    for (const resolve of this.#flushes.splice(0)) resolve();
  }

  #stop(): void {
    this.#isStopped = true;
    this.#options.onStop?.();
  }

  /** Closes the file; the next write opens it again. */
  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close().catch(() => undefined);
  }

  #recover(): void {
    this.#failure = null;
    this.#options.onRecovery();
  }
}

function codeOf(error: NodeJS.ErrnoException): string {
  return error.code ?? '';
}

/**
 * Does one step of file operations.
 *
 * @param onHang - called if it takes too long; the step continues.
 * @returns why it failed, or null.
 */
export async function attemptStep(
  step: () => Promise<Error | null>,
  clock: Clock,
  onHang: (error: Error) => void,
): Promise<Error | null> {
  const cancelWatch = patientTimer(HANG_MS, () => onHang(hangFailure(HANG_MS)), clock);
  const error = await step().catch((thrown: Error) => thrown);
  cancelWatch();
  return error;
}
