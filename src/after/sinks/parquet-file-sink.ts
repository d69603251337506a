import type { SightlineError } from '../../base/errors/sightline-error.ts';
import {
  checkReplaceable,
  incompleteText,
  isDevice,
  moveToFinalName,
  partialPathOf,
  resolveOutput,
} from './output-names.ts';
import { GROUP_ROWS, ParquetFile, ParquetRows } from './parquet-file.ts';
import type { Sink, SinkFailureListener, SinkFigures, WrittenFrame } from './sink.ts';
import { fileFailure } from './sink-failure.ts';
import { diskFiles } from './sink-files.ts';

/** Rows that may wait before the caller should wait. */
const MOST_ROWS = 4 * GROUP_ROWS;

export interface ParquetFileSinkOptions {
  readonly id: string;
  readonly path: string;
  readonly onFailure: SinkFailureListener;
  readonly onNotice?: (text: string) => void;
}

/**
 * Writes the detections of a command's inputs to one Parquet file. Written as `NAME.partial.EXT`, and renamed when it is complete; also an
 * interrupted one can be read.
 */
export class ParquetFileSink implements Sink {
  readonly id: string;
  readonly #options: ParquetFileSinkOptions;
  #path: string;
  #rows = new ParquetRows();
  #waitingRows = 0;
  /** Results since the last group. */
  #results = 0;
  #accepted = 0;
  #written = 0;
  #failure: SightlineError | null = null;
  #file: Promise<ParquetFile> | null = null;
  #writing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | null = null;

  constructor(options: ParquetFileSinkOptions) {
    this.id = options.id;
    this.#options = options;
    this.#path = options.path;
  }

  publish({ run: _, ...frame }: WrittenFrame, source: string): boolean {
    if (this.#closing !== null) return true;
    this.#accepted += 1;
    this.#results += 1;
    // As in JSON lines of a command, the input is the stream.
    this.#rows.add({ ...frame, streamId: source }, source);
    if (this.#rows.length >= GROUP_ROWS) this.#writeGroup();
    return this.#waitingRows < MOST_ROWS || this.#failure !== null;
  }

  drained(): Promise<void> {
    return this.#writing;
  }

  get figures(): SinkFigures {
    const unwritten = this.#accepted - this.#written;
    const isStopped = this.#failure !== null;
    return {
      problem: this.#failure?.message ?? null,
      sent: this.#written,
      waiting: isStopped ? 0 : unwritten,
      retried: 0,
      lost: { overflow: 0, failed: isStopped ? unwritten : 0 },
    };
  }

  close(isComplete = true): Promise<void> {
    this.#closing ??= this.#close(isComplete);
    return this.#closing;
  }

  async #close(isComplete: boolean): Promise<void> {
    if (this.#accepted > 0 || isComplete) this.#writeGroup();
    this.#writing = this.#writing.then(() => this.#finish(isComplete)).catch((error: unknown) => this.#fail(error));
    await this.#writing;
    const { failed = 0 } = this.figures.lost;
    if (this.#failure !== null) throw fileFailure(this.id, this.#path, this.#failure.cause as Error, failed);
  }

  #writeGroup(): void {
    const [rows, results] = [this.#rows, this.#results];
    this.#rows = new ParquetRows();
    this.#results = 0;
    this.#waitingRows += rows.length;
    this.#writing = this.#writing
      .then(async () => {
        if (this.#failure !== null) return;
        this.#file ??= this.#open();
        await (await this.#file).append(rows);
        this.#waitingRows -= rows.length;
        this.#written += results;
      })
      .catch((error: unknown) => this.#fail(error));
  }

  async #open(): Promise<ParquetFile> {
    if (await isDevice(this.#path))
      throw new Error('a Parquet file is read from its end, so it cannot be a pipe or a device');
    this.#path = await resolveOutput(this.#options.path);
    await checkReplaceable(this.#path);
    return ParquetFile.open(partialPathOf(this.#path));
  }

  async #finish(isComplete: boolean): Promise<void> {
    if (this.#file === null || this.#failure !== null) return;
    await (await this.#file).finish();
    const plan = { path: this.#path, partialPath: partialPathOf(this.#path), isComplete, keepsEarlier: false };
    const path = await moveToFinalName({ ...plan, files: diskFiles });
    if (path !== this.#path) this.#options.onNotice?.(incompleteText(this.id, this.#path, path));
  }

  #fail(error: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = fileFailure(this.id, this.#path, error as Error);
    void this.#file?.then((file) => file.abandon()).catch(() => undefined);
    this.#options.onFailure(this.#failure);
  }
}
