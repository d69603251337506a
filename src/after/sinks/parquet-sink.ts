import { join } from 'node:path';
import { z } from 'zod';
import { type Clock, keepAliveClock } from '../../base/core/clock.ts';
import type { SightlineError } from '../../base/errors/sightline-error.ts';
import { settlesWithin } from '../../base/flow/settles-within.ts';
import { whole } from '../../settings/config/number.ts';
import { CLOSE_MS, RETRY_MS } from './line-writer.ts';
import { ParquetFile, ParquetRows } from './parquet-file.ts';
import type { Sink, SinkFailureListener, SinkFigures, WrittenFrame } from './sink.ts';
import { fileFailure } from './sink-failure.ts';
import { diskFiles } from './sink-files.ts';
import { sinkKind } from './sink-kind.ts';
import { filter, streams } from './sink-settings.ts';
import { topicLevel } from './topic-level.ts';

const MS_PER_MINUTE = 60_000;
/** A file with more rows is written before its time. */
const MOST_ROWS_OF_FILE = 100_000;
/** Rows of all files that wait in memory, some 200 bytes each. */
const MOST_ROWS = 300_000;

export const parquet = sinkKind({
  settings: z.strictObject({
    type: z.literal('parquet').describe('Parquet files with a row for each detection.'),
    path: z
      .string()
      .min(1)
      .describe('Folder of this sink alone, created if it is missing: PATH/STREAM/DAY/TIME.parquet, by days of UTC.'),
    everyMinutes: whole(1, 1440)
      .default(10)
      .describe('A file holds results of this time at most. What is not written yet is lost if the process is killed.'),
    streams,
    filter,
  }),
  file: ({ path }) => path,
  open: ({ path, everyMinutes }, context) => ({
    sink: new ParquetSink({ ...context, folder: path, everyMs: everyMinutes * MS_PER_MINUTE }),
  }),
});

export interface ParquetSinkOptions {
  readonly id: string;
  readonly folder: string;
  readonly everyMs: number;
  readonly onFailure: SinkFailureListener;
  readonly onRecovery?: (lostResults?: number) => void;
  readonly clock?: Clock;
}

/** What one file will hold. */
interface Part {
  readonly folder: string;
  readonly rows: ParquetRows;
  /** Results, also those without detections. */
  results: number;
}

/** Writes files by stream and day. Each appears complete or not at all. */
export class ParquetSink implements Sink {
  readonly id: string;
  readonly #options: ParquetSinkOptions;
  readonly #clock: Clock;
  /** By folder. */
  #open = new Map<string, Part>();
  #full: Part[] = [];
  #rows = 0;
  #files = 0;
  #accepted = 0;
  #written = 0;
  #overflow = 0;
  #failed = 0;
  #retried = 0;
  #problem: SightlineError | null = null;
  #writing: Promise<void> | null = null;
  #cancelTimer: (() => void) | null = null;
  #wakeups: (() => void)[] = [];
  #closing: Promise<void> | null = null;
  #isGivenUp = false;

  constructor(options: ParquetSinkOptions) {
    this.id = options.id;
    this.#options = options;
    this.#clock = options.clock ?? keepAliveClock;
    // A wrong path is reported now, not after the time of the first file.
    this.#writing = diskFiles
      .makeFolder(options.folder)
      .catch((error: Error) => this.#report(options.folder, error))
      .finally(() => this.#endWriting());
  }

  publish(frame: WrittenFrame, source: string, canWait = true): boolean {
    if (this.#closing !== null) return true;
    this.#accepted += 1;
    if (!canWait && this.#rows >= MOST_ROWS) {
      this.#overflow += 1;
      return true;
    }
    const part = this.#partOf(frame);
    const before = part.rows.length;
    part.rows.add(frame, source);
    part.results += 1;
    this.#rows += part.rows.length - before;
    this.#cancelTimer ??= this.#clock.setTimer(() => this.#writeAll(), this.#options.everyMs);
    // Many small files are better than results that are lost.
    if (this.#rows >= MOST_ROWS / 2 && this.#writing === null) this.#writeAll();
    else if (part.rows.length >= MOST_ROWS_OF_FILE) {
      this.#open.delete(part.folder);
      this.#full.push(part);
      this.#write();
    }
    return !canWait || this.#rows < MOST_ROWS;
  }

  drained(): Promise<void> {
    if (this.#rows < MOST_ROWS || this.#closing !== null) return Promise.resolve();
    return new Promise((resolve) => this.#wakeups.push(resolve));
  }

  get figures(): SinkFigures {
    const waiting = this.#accepted - this.#written - this.#overflow - this.#failed;
    return {
      problem: this.#problem?.message ?? null,
      sent: this.#written,
      waiting,
      retried: this.#retried,
      lost: { overflow: this.#overflow, failed: this.#failed },
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #partOf({ streamId, capturedAtMs = Date.now() }: WrittenFrame): Part {
    const day = new Date(capturedAtMs).toISOString().slice(0, 10);
    const folder = join(this.#options.folder, topicLevel(streamId), day);
    const part = this.#open.get(folder) ?? { folder, rows: new ParquetRows(), results: 0 };
    this.#open.set(folder, part);
    return part;
  }

  async #close(): Promise<void> {
    this.#writeAll();
    for (const wake of this.#wakeups.splice(0)) wake();
    const written = async (): Promise<void> => {
      while (this.#writing !== null) await this.#writing;
    };
    await settlesWithin(written(), CLOSE_MS, this.#clock);
    this.#isGivenUp = true;
    this.#failed = this.figures.waiting;
    const lost = this.#failed + this.#overflow;
    if (lost === 0) return;
    const reason = this.#problem ?? new Error(`more than ${MOST_ROWS} detections waited`);
    throw fileFailure(this.id, this.#options.folder, reason.cause instanceof Error ? reason.cause : reason, lost);
  }

  /** Ends the files that are open, however few rows they have. */
  #writeAll(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#full.push(...this.#open.values());
    this.#open = new Map();
    this.#write();
  }

  #write(): void {
    this.#writing ??= this.#writeFull().finally(() => this.#endWriting());
  }

  #endWriting(): void {
    this.#writing = null;
    if (this.#full.length > 0 && !this.#isGivenUp) this.#write();
  }

  #report(path: string, error: Error): void {
    const isFirst = this.#problem === null;
    this.#problem = fileFailure(this.id, path, error);
    if (isFirst) this.#options.onFailure(this.#problem);
  }

  async #writeFull(): Promise<void> {
    for (let part = this.#full[0]; part !== undefined; part = this.#full[0]) {
      const attempt = await this.#writePart(part).catch((error: Error) => error);
      if (attempt instanceof Error) {
        this.#report(part.folder, attempt);
        // When the sink closes, there is one more attempt.
        this.#isGivenUp = this.#closing !== null;
        if (this.#isGivenUp) return;
        this.#retried += 1;
        await new Promise<void>((resolve) => this.#clock.setTimer(resolve, RETRY_MS));
        continue;
      }
      this.#full.shift();
      this.#rows -= part.rows.length;
      this.#written += part.results;
      if (this.#problem !== null) this.#options.onRecovery?.(this.#overflow);
      this.#problem = null;
      if (this.#rows < MOST_ROWS) for (const wake of this.#wakeups.splice(0)) wake();
    }
  }

  async #writePart({ folder, rows }: Part): Promise<void> {
    if (rows.length === 0) return;
    this.#files += 1;
    const time = new Date().toISOString().slice(11).replaceAll(/[:.Z]/g, '');
    const path = join(folder, `${time}-${this.#files}.parquet`);
    const partialPath = `${path}.partial`;
    await diskFiles.makeFolder(folder);
    const file = await ParquetFile.open(partialPath);
    try {
      await file.append(rows);
      await file.finish();
    } catch (error) {
      await file.abandon();
      await diskFiles.remove(partialPath).catch(() => undefined);
      throw error;
    }
    await diskFiles.rename(partialPath, path);
    await diskFiles.syncFolder(folder);
  }
}
