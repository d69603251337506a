import { join } from 'node:path';
import { type Clock, systemClock } from '../core/clock.ts';
import { Pause } from '../flow/pause.ts';
import { settlesWithin } from '../flow/settles-within.ts';
import { attemptStep, CLOSE_MS, RETRY_MS, SYNC_MS } from './disk-work.ts';
import { LineFile } from './line-file.ts';
import type { SyncPolicy } from './line-log.ts';
import { keepNumbered, numberedFiles } from './output-names.ts';
import { countLines, wholeLines } from './rotation.ts';
import { diskFiles, type SinkFiles, stateOrNull } from './sink-files.ts';
import { formatLine, parseSpoolFile, SPOOL_LINES, type SpoolRecord } from './spool-line.ts';
import { SpoolPosition } from './spool-position.ts';

const MIB = 1024 * 1024;
/** A spool file is read into memory and deleted as a whole. */
const MAX_SPOOL_FILE_BYTES = MIB;
/** A full spool drops its oldest file, so a file is a small share of the spool. */
const LEAST_SPOOL_FILES = 8;
/** Most records in memory: those that are not on the disk, because it fails or because there is no folder. */
const MAX_MEMORY_BYTES = 8 * MIB;
/** Records are written after this time at the latest, so a killed process loses no more than that. */
const WRITE_MS = 100;

const CURRENT = 'current.spool';

export interface SpoolOptions {
  /** Folder of this spool alone; created if it is missing. Null: records are kept in memory only. */
  readonly folder: string | null;
  /** Most bytes of its files. Beyond that the oldest records are dropped, or `append` asks to wait. */
  readonly maxBytes: number;
  readonly whenFull: 'drop-oldest' | 'wait';
  readonly sync: SyncPolicy;
  /** Called when the disk fails, once until `onRecovery`. Records that it holds stay there, newer ones are kept in memory. */
  readonly onFailure: (failure: SpoolFailure) => void;
  readonly onRecovery: () => void;
  /** Called when records of an earlier run were found. */
  readonly onFound: (records: number) => void;
  /** Called when records were dropped, with their number. */
  readonly onDropped: (records: number) => void;
  readonly clock?: Clock | undefined;
  readonly files?: SinkFiles | undefined;
}

/** Why the disk cannot be used now. */
export interface SpoolFailure {
  readonly action: 'read' | 'write';
  readonly error: Error;
}

interface SpoolFile {
  readonly path: string;
  readonly bytes: number;
  /** Number of its last record. */
  readonly lastSeq: number;
  /** Records that were not acknowledged. */
  count: number;
}

/**
 * An ordered queue of records on the disk that survives the process. Records are appended to `current.spool`; a full one
 * becomes a spool file, `current.N.spool`. Only the oldest spool file and the newest records are in memory.
 */
export class Spool {
  readonly #options: SpoolOptions;
  readonly #clock: Clock;
  readonly #files: SinkFiles;
  readonly #spoolFileBytes: number;
  #position: SpoolPosition | null = null;
  #file: LineFile | null = null;
  #fileBytes = 0;
  #spoolFiles: SpoolFile[] = [];
  /** Files of dropped records that are still to be removed. They are in no list, so they are not read meanwhile. */
  readonly #unwanted: string[] = [];
  /** Records of the oldest spool file, if it was read. */
  #head: SpoolRecord[] = [];
  #isHeadLoaded = false;
  /** Records of the current file, then those that are not on the disk yet. */
  #recent: SpoolRecord[] = [];
  #unwrittenBytes = 0;
  #writtenSeq = 0;
  #lastSeq = 0;
  #taken: readonly SpoolRecord[] = [];
  #waiting = 0;
  #overflow = 0;
  #damaged = 0;
  #retried = 0;
  #writeFailure: Error | null = null;
  #readFailure: Error | null = null;
  #isClosing = false;
  #isSyncDue = false;
  #working: Promise<void> | null = null;
  #cancelWrite: (() => void) | null = null;
  #cancelSync: (() => void) | null = null;
  readonly #pause: Pause;
  #wakeups: (() => void)[] = [];
  readonly #firstTry: Promise<void>;
  #endFirstTry!: () => void;

  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#pause = new Pause(this.#clock);
    this.#files = options.files ?? diskFiles;
    this.#spoolFileBytes = Math.min(MAX_SPOOL_FILE_BYTES, Math.floor(options.maxBytes / LEAST_SPOOL_FILES));
    this.#firstTry = new Promise((resolve) => {
      this.#endFirstTry = resolve;
    });
    if (options.folder === null) this.#endFirstTry();
    else this.#work();
  }

  /** Records that were not acknowledged. */
  get waiting(): number {
    return this.#waiting;
  }

  get figures(): { readonly overflow: number; readonly damaged: number; readonly retried: number } {
    return { overflow: this.#overflow, damaged: this.#damaged, retried: this.#retried };
  }

  /** Null if the disk can be written and read. */
  get failure(): SpoolFailure | null {
    if (this.#writeFailure !== null) return { action: 'write', error: this.#writeFailure };
    return this.#readFailure === null ? null : { action: 'read', error: this.#readFailure };
  }

  /**
   * Appends a record.
   *
   * @param text - without line breaks.
   * @returns false if the caller should wait for `drained()`; never with policy `drop-oldest`.
   */
  append(text: string): boolean {
    this.#lastSeq += 1;
    const record = { seq: this.#lastSeq, text };
    this.#recent.push(record);
    this.#unwrittenBytes += text.length;
    this.#waiting += 1;
    if (this.#options.whenFull === 'drop-oldest') this.#dropFromMemory();
    if (this.#options.folder !== null) {
      if (this.#unwrittenBytes >= this.#spoolFileBytes) this.#work();
      else this.#cancelWrite ??= this.#clock.setTimer(() => this.#work(), WRITE_MS);
    }
    return this.#options.whenFull === 'drop-oldest' || !this.#isFull;
  }

  /** Resolves once `append` would return true, or when the spool closes. */
  drained(): Promise<void> {
    if (!this.#isFull || this.#isClosing) return Promise.resolve();
    return new Promise((resolve) => this.#wakeups.push(resolve));
  }

  /**
   * Returns the oldest records, which stay until `acknowledge`.
   *
   * @param most - largest number of records.
   * @returns none if there are none, or if the file of the oldest cannot be read now (`failure`): try again later.
   */
  async take(most: number): Promise<readonly SpoolRecord[]> {
    // Records of an earlier run come first.
    await this.#firstTry;
    this.#taken = [];
    while (this.#head.length === 0 && this.#spoolFiles.length > 0) {
      if (!(await this.#loadHead())) return [];
    }
    this.#taken = (this.#head.length > 0 ? this.#head : this.#recent).slice(0, most);
    return this.#taken;
  }

  /** Removes the records that `take` has returned. */
  acknowledge(): void {
    const [first, last] = [this.#taken[0], this.#taken.at(-1)];
    if (first === undefined || last === undefined) return;
    this.#waiting -= this.#taken.length;
    for (const { seq, text } of this.#taken) if (seq > this.#writtenSeq) this.#unwrittenBytes -= text.length;
    const done = new Set(this.#taken);
    this.#taken = [];
    const oldest = this.#spoolFiles[0];
    // False if the disk failed at the start, and an earlier run's records were found only after these were sent.
    if (oldest === undefined || oldest.lastSeq >= first.seq) this.#position?.advance(last.seq);
    this.#recent = this.#recent.filter((record) => !done.has(record));
    if (oldest !== undefined && this.#isHeadLoaded) {
      this.#head = this.#head.filter((record) => !done.has(record));
      oldest.count = this.#head.length;
      if (this.#head.length === 0) this.#removeHead();
    }
    this.#wake();
  }

  /**
   * Writes everything to the disk.
   *
   * @returns the number of records that are not on it.
   */
  async close(): Promise<number> {
    this.#isClosing = true;
    this.#pause.end();
    this.#wake();
    const { folder } = this.#options;
    if (folder === null) return this.#waiting;
    await settlesWithin(this.#finish(folder), CLOSE_MS, this.#clock);
    return this.#recent.filter(({ seq }) => seq > this.#writtenSeq).length;
  }

  async #finish(folder: string): Promise<void> {
    await this.#working;
    this.#work();
    await this.#working;
    for (const stop of [this.#cancelWrite, this.#cancelSync]) stop?.();
    try {
      try {
        if (this.#options.sync !== 'never') await this.#file?.sync();
      } finally {
        await Promise.all([this.#file?.close(), this.#position?.close()]);
      }
      if (this.#waiting > 0 || this.#position === null) return;
      for (const path of await numberedFiles(join(folder, CURRENT), this.#files)) await this.#files.remove(path);
      await this.#files.remove(join(folder, CURRENT));
      await SpoolPosition.remove(folder, this.#files);
    } catch (error) {
      this.#fail({ action: 'write', error: error as Error });
    }
  }

  get #isFull(): boolean {
    const { maxBytes, folder } = this.#options;
    return (
      this.#unwrittenBytes >= MAX_MEMORY_BYTES ||
      (folder !== null && this.#diskBytes + this.#unwrittenBytes >= maxBytes)
    );
  }

  get #diskBytes(): number {
    return this.#spoolFiles.reduce((sum, { bytes }) => sum + bytes, this.#fileBytes);
  }

  #work(): void {
    this.#cancelWrite?.();
    this.#cancelWrite = null;
    this.#working ??= this.#run().finally(() => {
      this.#working = null;
    });
  }

  async #run(): Promise<void> {
    for (;;) {
      const error = await attemptStep(
        () => this.#step(),
        this.#clock,
        (hang) => this.#fail({ action: 'write', error: hang }),
      );
      if (error === null) {
        this.#endFirstTry();
        this.#recover('write');
        this.#wake();
        if (!this.#hasUnwritten && !this.#isSyncDue) return;
        continue;
      }
      this.#fail({ action: 'write', error });
      if (this.#isClosing) return;
      void this.#file?.close().catch(() => undefined);
      this.#file = null;
      this.#retried += 1;
      await this.#pause.wait(RETRY_MS);
    }
  }

  get #hasUnwritten(): boolean {
    return (this.#recent.at(-1)?.seq ?? 0) > this.#writtenSeq;
  }

  async #step(): Promise<Error | null> {
    const folder = this.#options.folder!;
    const path = join(folder, CURRENT);
    if (this.#position === null) await this.#open(folder);
    this.#file ??= await LineFile.open(path, SPOOL_LINES, this.#files);
    this.#fileBytes = await this.#file.size();
    const { sync } = this.#options;
    if (this.#hasUnwritten) {
      const error = await this.#write(this.#file);
      if (error !== null) return error;
      if (sync === 'batch') await this.#file.sync();
      if (sync === 'interval') this.#cancelSync ??= this.#clock.setTimer(() => this.#requestSync(), SYNC_MS);
    }
    if (this.#isSyncDue) {
      await this.#file.sync();
      this.#isSyncDue = false;
    }
    if (this.#fileBytes >= this.#spoolFileBytes) await this.#rotate(this.#file, path);
    if (this.#options.whenFull === 'drop-oldest') await this.#dropSpoolFiles();
    return null;
  }

  async #write(file: LineFile): Promise<Error | null> {
    const unwritten = this.#recent.filter(({ seq }) => seq > this.#writtenSeq);
    let chars = 0;
    const end = unwritten.findIndex(({ text }) => {
      chars += text.length;
      return chars >= this.#spoolFileBytes;
    });
    const lines = unwritten.slice(0, end === -1 ? unwritten.length : end + 1).map(formatLine);
    const bytes = wholeLines(Buffer.from(lines.join('')), this.#spoolFileBytes - this.#fileBytes);
    const { keptBytes, error } = await file.append(bytes);
    this.#fileBytes += keptBytes;
    const kept = countLines(bytes.subarray(0, keptBytes));
    this.#writtenSeq = unwritten[kept - 1]?.seq ?? this.#writtenSeq;
    this.#unwrittenBytes = this.#recent.reduce(
      (sum, { seq, text }) => sum + (seq > this.#writtenSeq ? text.length : 0),
      0,
    );
    return error;
  }

  /** Finds the records that an earlier run left. */
  async #open(folder: string): Promise<void> {
    const path = join(folder, CURRENT);
    await this.#files.makeFolder(folder);
    const position = await SpoolPosition.open(folder, this.#files);
    const left = await this.#readLeft(path, position.seq).catch(async (error: unknown) => {
      await position.close();
      throw error;
    });
    // Nothing below can fail.
    this.#position = position;
    this.#spoolFiles = left.spoolFiles;
    this.#damaged += left.damaged;
    for (const record of this.#recent) record.seq += left.lastSeq;
    this.#lastSeq += left.lastSeq;
    this.#writtenSeq = left.lastSeq;
    const count = left.spoolFiles.reduce((sum, spoolFile) => sum + spoolFile.count, 0);
    this.#waiting += count;
    if (count > 0) this.#options.onFound(count);
  }

  /** @param sentSeq - the last record that needs no sending. */
  async #readLeft(
    path: string,
    sentSeq: number,
  ): Promise<{ readonly spoolFiles: SpoolFile[]; readonly lastSeq: number; readonly damaged: number }> {
    const current = await stateOrNull(this.#files, path);
    if (current !== null && current.size > 0) await keepNumbered(path, this.#files);
    let lastSeq = sentSeq;
    const spoolFiles: SpoolFile[] = [];
    let damaged = 0;
    for (const spoolFilePath of await numberedFiles(path, this.#files)) {
      const found = await this.#readSpoolFile(spoolFilePath);
      damaged += found.damaged;
      const waiting = found.records.filter(({ seq }) => seq > sentSeq);
      lastSeq = Math.max(lastSeq, waiting.at(-1)?.seq ?? 0);
      if (waiting.length === 0) await this.#files.remove(spoolFilePath);
      else spoolFiles.push({ path: spoolFilePath, bytes: found.bytes, lastSeq, count: waiting.length });
    }
    return { spoolFiles, lastSeq, damaged };
  }

  async #rotate(file: LineFile, path: string): Promise<void> {
    if (this.#options.sync !== 'never') await file.sync();
    this.#file = null;
    await file.close();
    const kept = await keepNumbered(path, this.#files);
    const bytes = this.#fileBytes;
    this.#fileBytes = 0;
    const first = this.#recent.findIndex(({ seq }) => seq > this.#writtenSeq);
    const records = this.#recent.splice(0, first === -1 ? this.#recent.length : first);
    if (records.length === 0) return this.#files.remove(kept);
    if (this.#spoolFiles.length === 0) {
      this.#head = records;
      this.#isHeadLoaded = true;
    }
    this.#spoolFiles.push({ path: kept, bytes, lastSeq: this.#writtenSeq, count: records.length });
  }

  /** @returns false if the file cannot be read now. It stays: too many open files, for example, is a failure that passes. */
  async #loadHead(): Promise<boolean> {
    const spoolFile = this.#spoolFiles[0]!;
    // Taken out now, so that it is not dropped meanwhile.
    this.#isHeadLoaded = true;
    let records: readonly SpoolRecord[] = [];
    const error = await attemptStep(
      async () => {
        ({ records } = await this.#readSpoolFile(spoolFile.path));
        return null;
      },
      this.#clock,
      (hang) => this.#fail({ action: 'read', error: hang }),
    );
    if (error !== null && (error as NodeJS.ErrnoException).code !== 'ENOENT') {
      this.#isHeadLoaded = false;
      this.#retried += 1;
      this.#fail({ action: 'read', error });
      return false;
    }
    this.#recover('read');
    const floor = this.#position?.seq ?? 0;
    this.#head = records.filter(({ seq }) => seq > floor);
    this.#damaged += spoolFile.count - this.#head.length;
    this.#waiting -= spoolFile.count - this.#head.length;
    spoolFile.count = this.#head.length;
    if (this.#head.length === 0) this.#removeHead();
    return true;
  }

  #removeHead(): void {
    const spoolFile = this.#spoolFiles.shift();
    this.#isHeadLoaded = false;
    this.#head = [];
    if (spoolFile !== undefined) void this.#files.remove(spoolFile.path).catch(() => undefined);
  }

  async #readSpoolFile(path: string): Promise<ReturnType<typeof parseSpoolFile> & { bytes: number }> {
    const file = await this.#files.open(path, 'r');
    try {
      const { size } = await file.stat();
      const bytes = Buffer.alloc(size);
      for (let at = 0; at < size; ) {
        const { bytesRead } = await file.read(bytes, at, size - at, at);
        if (bytesRead === 0) break;
        at += bytesRead;
      }
      return { ...parseSpoolFile(bytes.toString('utf8')), bytes: size };
    } finally {
      await file.close();
    }
  }

  /** Keeps the files below their limit: the oldest go, except for the spool file that is being sent. */
  async #dropSpoolFiles(): Promise<void> {
    for (;;) {
      for (let path = this.#unwanted[0]; path !== undefined; path = this.#unwanted[0]) {
        await this.#files.remove(path);
        this.#unwanted.shift();
      }
      if (this.#diskBytes <= this.#options.maxBytes) return;
      const [spoolFile] = this.#spoolFiles.splice(this.#isHeadLoaded ? 1 : 0, 1);
      if (spoolFile === undefined) return;
      this.#drop(spoolFile.count);
      this.#unwanted.push(spoolFile.path);
    }
  }

  /** Keeps the records that are not on the disk below their limit. Those that are being sent stay. */
  #dropFromMemory(): void {
    const limit = this.#options.folder === null ? Math.min(this.#options.maxBytes, MAX_MEMORY_BYTES) : MAX_MEMORY_BYTES;
    let dropped = 0;
    while (this.#unwrittenBytes > limit) {
      const index = this.#recent.findIndex((record) => record.seq > this.#writtenSeq && !this.#taken.includes(record));
      if (index === -1 || index === this.#recent.length - 1) break;
      const [oldest] = this.#recent.splice(index, 1);
      this.#unwrittenBytes -= oldest!.text.length;
      dropped += 1;
    }
    if (dropped > 0) this.#drop(dropped);
  }

  #drop(records: number): void {
    this.#overflow += records;
    this.#waiting -= records;
    this.#options.onDropped(records);
  }

  #requestSync(): void {
    this.#cancelSync = null;
    this.#isSyncDue = true;
    this.#work();
  }

  #fail(failure: SpoolFailure): void {
    const isFirst = this.failure === null;
    if (failure.action === 'write') this.#writeFailure = failure.error;
    else this.#readFailure = failure.error;
    this.#endFirstTry();
    if (isFirst) this.#options.onFailure(failure);
  }

  #recover(action: SpoolFailure['action']): void {
    const hadFailed = this.failure !== null;
    if (action === 'write') this.#writeFailure = null;
    else this.#readFailure = null;
    if (hadFailed && this.failure === null) this.#options.onRecovery();
  }

  #wake(): void {
    if (this.#isFull && !this.#isClosing) return;
    for (const resolve of this.#wakeups.splice(0)) resolve();
  }
}
