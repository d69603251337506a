import { lstat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileFailure } from '../../../after/sinks/sink-failure.ts';
import { writeWholeFile } from '../../../base/disk/replace-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { JobOrder } from '../../../wire/protocol/fleet.ts';
import type { Admission } from '../orders/admission.ts';
import { outputName } from './output-name.ts';
import { SegmentFolder } from './segment-folder.ts';

/** Largest expected difference between the clocks of the control plane and the file server. */
const CLOCK_SKEW_MS = 60_000;

/** The paths of the input, the segment results and the result of one file of a job. */
export class JobPlace {
  /** The real path of the input, links resolved. */
  readonly inputPath: string;
  /** The input as named in the order and in results. */
  readonly label: string;
  readonly resultPath: string;
  readonly folder: SegmentFolder;
  readonly #file: number;
  readonly #createdMs: number;

  private constructor({
    order,
    file,
    inputPath,
    outDir,
    folder,
  }: {
    readonly order: JobOrder;
    readonly file: number;
    readonly inputPath: string;
    readonly outDir: string;
    readonly folder: SegmentFolder;
  }) {
    this.folder = folder;
    this.inputPath = inputPath;
    this.label = order.inputs[file]!;
    this.resultPath = join(outDir, outputName(order.inputs, file));
    this.#file = file;
    this.#createdMs = order.createdMs;
  }

  /** @throws SOURCE_FORBIDDEN, SOURCE_NOT_FOUND, SOURCE_UNREADABLE; PROTOCOL_INVALID if the order has no such file. */
  static async find(admission: Admission, order: JobOrder, file: number): Promise<JobPlace> {
    const input = order.inputs[file];
    if (input === undefined)
      throw new SightlineError(
        'PROTOCOL_INVALID',
        `job ${order.id}: expected a file from 0 to ${order.inputs.length - 1}, received ${file}`,
      );
    const inputPath = await admission.file(input);
    const outDir = await admission.outDir(order.outDir);
    const folder = new SegmentFolder(outDir, order.partsKey ?? order.id, () => admission.outDir(order.outDir));
    return new JobPlace({ order, file, inputPath, outDir, folder });
  }

  /** The result as a table, if the order wants one. */
  get tablePath(): string {
    return this.resultPath.replace(/\.jsonl$/, '.parquet');
  }

  /** @param segment - its index; `whole` for a file that is inferred as a whole. */
  segmentPath(segment: number | 'whole'): string {
    return join(this.folder.path, `${this.#file}-${segment}.jsonl`);
  }

  /** Start of the temporary path of the result while it is written. */
  get resultStem(): string {
    return join(this.folder.path, `${this.#file}-result`);
  }

  /** Exists if the segments of this file cannot be used. */
  get #flag(): string {
    return `${this.#file}.whole`;
  }

  /** Marks the file to be inferred as a whole by the merge task. @throws SINK_FAILED */
  async markWhole(why: string): Promise<void> {
    const path = join(this.folder.path, this.#flag);
    try {
      await this.folder.make();
      await writeWholeFile(path, `${why}\n`);
    } catch (error) {
      throw error instanceof SightlineError ? error : fileFailure('job', path, error as Error);
    }
  }

  isMarkedWhole(): Promise<boolean> {
    return this.folder.has(this.#flag);
  }

  /** Returns whether this job has already written the result. Segment results are deleted afterwards, so then the first is gone. */
  async isMerged(): Promise<boolean> {
    if ((await this.isMarkedWhole()) || (await this.folder.has(basename(this.segmentPath(0))))) return false;
    const result = await lstat(this.resultPath).catch(() => null);
    return result?.isFile() === true && result.mtimeMs >= this.#createdMs - CLOCK_SKEW_MS;
  }

  /** Deletes this file's segment results and what killed processes left. Can be interrupted and repeated. */
  async clear(): Promise<void> {
    await this.folder.remove([basename(this.segmentPath(0)), this.#flag]);
    const isOwn = (name: string): boolean => name.startsWith(`${this.#file}-`) || name.startsWith(`${this.#file}.`);
    await this.folder.remove((await this.folder.names()).filter(isOwn));
    // Other files of the job may still have segment results in it.
    await this.folder.removeEmpty();
  }
}
