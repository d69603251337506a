import { basename } from 'node:path';
import { GROUP_ROWS, ParquetFile, ParquetRows } from '../../../after/sinks/parquet-file.ts';
import type { WrittenFrame } from '../../../after/sinks/sink.ts';
import { fileFailure } from '../../../after/sinks/sink-failure.ts';
import { moveFile } from '../../../base/disk/replace-file.ts';
import { createTemporary } from './atomic-file.ts';
import type { SegmentFolder } from './segment-folder.ts';

/** A Parquet file that appears complete or not at all, as an `AtomicFile` does. */
export class AtomicTable {
  readonly #path: string;
  readonly #temporaryPath: string;
  readonly #folder: SegmentFolder;
  readonly #file: ParquetFile;
  #rows = new ParquetRows();

  private constructor(path: string, temporaryPath: string, folder: SegmentFolder, file: ParquetFile) {
    this.#path = path;
    this.#temporaryPath = temporaryPath;
    this.#folder = folder;
    this.#file = file;
  }

  /** As `AtomicFile.create`. @throws SINK_FAILED */
  static async create(id: string, path: string, stem: string, folder: SegmentFolder): Promise<AtomicTable> {
    const { temporaryPath, handle } = await createTemporary(id, path, stem, folder);
    return new AtomicTable(path, temporaryPath, folder, await ParquetFile.of(handle));
  }

  /** @returns a promise to await before the next frame, which rejects with SINK_FAILED; null if there is none. */
  add(frame: WrittenFrame, source: string): Promise<void> | null {
    this.#rows.add(frame, source);
    return this.#rows.length < GROUP_ROWS ? null : this.#saying(this.#append());
  }

  /** Makes the file visible under its name. @throws SINK_FAILED */
  async commit(): Promise<void> {
    await this.#saying(this.#append());
    await this.#saying(this.#file.finish());
    await this.#folder.check();
    await this.#saying(moveFile(this.#temporaryPath, this.#path));
  }

  /** Deletes what was written, if the disk permits. Never rejects. */
  async discard(): Promise<void> {
    await this.#file.abandon();
    await this.#folder.remove([basename(this.#temporaryPath)]).catch(() => undefined);
  }

  #append(): Promise<void> {
    const rows = this.#rows;
    this.#rows = new ParquetRows();
    return this.#file.append(rows);
  }

  #saying(work: Promise<void>): Promise<void> {
    return work.catch((error: Error) => {
      throw fileFailure('job', this.#path, error);
    });
  }
}
