import { join } from 'node:path';
import { type Clock, systemClock } from '../../base/core/clock.ts';
import { settlesWithin } from '../../base/flow/settles-within.ts';
import { LineFile } from './line-file.ts';
import { attemptStep, CLOSE_MS, LineWriter, type SyncPolicy } from './line-writer.ts';
import { keepNumbered, numberedFiles } from './output-names.ts';
import { countLines } from './rotation.ts';
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
  /** Null without a folder. */
  readonly #writer: LineWriter | null;
  #position: SpoolPosition | null = null;
  #fileBytes = 0;
  #spoolFiles: SpoolFile[] = [];
  /** Files of dropped records that are still to be removed. They are in no list, so they are not read meanwhile. */
  readonly #unwanted: string[] = [];
  /** Records of the oldest spool file, if it was read. */
  #head: SpoolRecord[] = [];
  #isHeadLoaded = false;
  /** Records of the current file, then those that are not on the disk yet. */
  #recent: SpoolRecord[] = [];
  /** What the writer writes now. */
  #writing: { readonly records: readonly SpoolRecord[]; readonly lines: Buffer } | null = null;
  /** Written, and not yet as durable as the policy requires. */
  readonly #unsynced: SpoolRecord[] = [];
  #unwrittenBytes = 0;
  #writtenSeq = 0;
  #lastSeq = 0;
  #taken: readonly SpoolRecord[] = [];
  #waiting = 0;
  #overflow = 0;
  #damaged = 0;
  #readRetries = 0;
  #readFailure: Error | null = null;
  #isClosing = false;
  #wakeups: (() => void)[] = [];
  readonly #firstTry: Promise<void>;
  #endFirstTry!: () => void;

  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#files = options.files ?? diskFiles;
    this.#spoolFileBytes = Math.min(MAX_SPOOL_FILE_BYTES, Math.floor(options.maxBytes / LEAST_SPOOL_FILES));
    this.#firstTry = new Promise((resolve) => {
      this.#endFirstTry = resolve;
    });
    this.#writer = options.folder === null ? null : this.#newWriter(options.folder);
    if (this.#writer === null) this.#endFirstTry();
  }

  #newWriter(folder: string): LineWriter {
    const { sync, clock } = this.#options;
    return new LineWriter({
      sync,
      clock,
      retries: 'always',
      chunk: { chars: this.#spoolFileBytes, ms: WRITE_MS },
      source: {
        isPending: () => (this.#recent.at(-1)?.seq ?? 0) > this.#writtenSeq || this.#unwanted.length > 0,
        next: () => this.#next(),
        wrote: (bytes) => this.#wrote(bytes),
        synced: () => {
          for (const record of this.#unsynced.splice(0)) settle(record);
        },
      },
      open: () => this.#openFile(folder),
      rotation: {
        maxBytes: this.#spoolFileBytes,
        emptyBytes: 0,
        isCompressed: false,
        keep: (path) => this.#keepFile(path),
      },
      onFailure: (error) => {
        this.#endFirstTry();
        if (this.#readFailure === null) this.#options.onFailure({ action: 'write', error });
      },
      onRecovery: () => {
        if (this.#readFailure === null) this.#options.onRecovery();
      },
    });
  }

  /** Records that were not acknowledged. */
  get waiting(): number {
    return this.#waiting;
  }

  get figures(): { readonly overflow: number; readonly damaged: number; readonly retried: number } {
    const retried = this.#readRetries + (this.#writer?.retried ?? 0);
    return { overflow: this.#overflow, damaged: this.#damaged, retried };
  }

  /** Null if the disk can be written and read. */
  get failure(): SpoolFailure | null {
    const error = this.#writer?.failure ?? null;
    if (error !== null) return { action: 'write', error };
    return this.#readFailure === null ? null : { action: 'read', error: this.#readFailure };
  }

  /**
   * Appends a record.
   *
   * @param text - without line breaks.
   * @param onKept - called once when it is on the disk, sent, or counted as lost.
   * @returns false if the caller should wait for `drained()`; never with policy `drop-oldest`.
   */
  append(text: string, onKept?: () => void): boolean {
    this.#lastSeq += 1;
    const record: SpoolRecord = { seq: this.#lastSeq, text, onKept };
    this.#recent.push(record);
    this.#unwrittenBytes += text.length;
    this.#waiting += 1;
    if (this.#options.whenFull === 'drop-oldest') this.#dropFromMemory();
    this.#writer?.added(this.#unwrittenBytes);
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

  /** Removes the first of the records that `take` has returned; the others stay until the next call, or are taken again. */
  acknowledge(count = this.#taken.length): void {
    const later = this.#taken.slice(count);
    this.#taken = this.#taken.slice(0, count);
    const [first, last] = [this.#taken[0], this.#taken.at(-1)];
    if (first === undefined || last === undefined) return;
    this.#waiting -= this.#taken.length;
    for (const record of this.#taken) {
      if (record.seq > this.#writtenSeq) this.#unwrittenBytes -= record.text.length;
      settle(record);
    }
    const done = new Set(this.#taken);
    this.#taken = later;
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
    this.#wake();
    if (this.#writer === null) {
      for (const record of this.#recent) settle(record);
      return this.#waiting;
    }
    const isClosed = await this.#writer.finish();
    const rest = this.#leaveFolder(this.#options.folder!).catch((error: Error) => this.#writer!.report(error));
    if (isClosed) await settlesWithin(rest, CLOSE_MS, this.#clock);
    const lost = this.#recent.filter(({ seq }) => seq > this.#writtenSeq);
    for (const record of lost) settle(record);
    return lost.length;
  }

  /** Removes the files if no record waits. */
  async #leaveFolder(folder: string): Promise<void> {
    await this.#position?.close();
    if (this.#waiting > 0 || this.#position === null || this.#writer!.failure !== null) return;
    for (const path of await numberedFiles(join(folder, CURRENT), this.#files)) await this.#files.remove(path);
    await this.#files.remove(join(folder, CURRENT));
    await SpoolPosition.remove(folder, this.#files);
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

  /** Returns the lines of the oldest records that are not on the disk, about as many as a file holds, and makes room for them. */
  async #next(): Promise<Uint8Array> {
    const unwritten = this.#recent.filter(({ seq }) => seq > this.#writtenSeq);
    let chars = 0;
    const end = unwritten.findIndex(({ text }) => {
      chars += text.length;
      return chars >= this.#spoolFileBytes;
    });
    const records = end === -1 ? unwritten : unwritten.slice(0, end + 1);
    const lines = Buffer.from(records.map(formatLine).join(''));
    this.#writing = { records, lines };
    if (this.#options.whenFull === 'drop-oldest') await this.#dropSpoolFiles(lines.length);
    return lines;
  }

  #wrote(bytes: number): void {
    const { records, lines } = this.#writing!;
    this.#fileBytes += bytes;
    const written = records.slice(0, countLines(lines.subarray(0, bytes)));
    this.#writtenSeq = written.at(-1)?.seq ?? this.#writtenSeq;
    this.#unsynced.push(...written);
    this.#unwrittenBytes = this.#recent.reduce(
      (sum, { seq, text }) => sum + (seq > this.#writtenSeq ? text.length : 0),
      0,
    );
    this.#wake();
  }

  async #openFile(folder: string): Promise<LineFile> {
    if (this.#position === null) await this.#open(folder);
    const file = await LineFile.open(join(folder, CURRENT), SPOOL_LINES, this.#files);
    try {
      this.#fileBytes = await file.size();
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#endFirstTry();
    this.#wake();
    return file;
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

  /** Makes a spool file of the current one. */
  async #keepFile(path: string): Promise<void> {
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
      (hang) => this.#failToRead(hang),
    );
    if (error !== null && (error as NodeJS.ErrnoException).code !== 'ENOENT') {
      this.#isHeadLoaded = false;
      this.#readRetries += 1;
      this.#failToRead(error);
      return false;
    }
    const hadFailed = this.#readFailure !== null;
    this.#readFailure = null;
    if (hadFailed && this.failure === null) this.#options.onRecovery();
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

  /** Keeps the files below their limit: the oldest go, except for the spool file that is being sent. @param bytes - to be written next. */
  async #dropSpoolFiles(bytes: number): Promise<void> {
    for (;;) {
      for (let path = this.#unwanted[0]; path !== undefined; path = this.#unwanted[0]) {
        await this.#files.remove(path);
        this.#unwanted.shift();
      }
      if (this.#diskBytes + bytes <= this.#options.maxBytes) return;
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
      settle(oldest!);
      dropped += 1;
    }
    if (dropped > 0) this.#drop(dropped);
  }

  #drop(records: number): void {
    this.#overflow += records;
    this.#waiting -= records;
    this.#options.onDropped(records);
  }

  #failToRead(error: Error): void {
    const isFirst = this.failure === null;
    this.#readFailure = error;
    if (isFirst) this.#options.onFailure({ action: 'read', error });
  }

  #wake(): void {
    if (this.#isFull && !this.#isClosing) return;
    for (const resolve of this.#wakeups.splice(0)) resolve();
  }
}

function settle(record: SpoolRecord): void {
  const { onKept } = record;
  record.onKept = undefined;
  onKept?.();
}
