import { access, mkdir, readdir, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { JobOrder } from '../../protocol/fleet.ts';
import { fileFailure } from '../../sinks/sink-failure.ts';
import type { Admission } from '../orders/admission.ts';
import { outputName } from './output-name.ts';

/** Largest expected difference between the clocks of the control plane and of the file server. */
const CLOCK_SKEW_MS = 60_000;

/** The paths of the input, the parts and the result of one file of a job. */
export class JobPlace {
  /** The real path of the input, links resolved. */
  readonly inputPath: string;
  /** The input as named in the order and in results. */
  readonly label: string;
  readonly resultPath: string;
  readonly partsDir: string;
  readonly #file: number;
  readonly #createdMs: number;

  private constructor(order: JobOrder, file: number, inputPath: string, outDir: string) {
    this.inputPath = inputPath;
    this.label = order.inputs[file]!;
    this.resultPath = join(outDir, outputName(order.inputs, file));
    this.partsDir = join(outDir, '.parts', order.id);
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
    return new JobPlace(order, file, await admission.file(input), await admission.outDir(order.outDir));
  }

  /** @param segment - its index; `whole` for a file that is inferred as a whole. */
  partPath(segment: number | 'whole'): string {
    return join(this.partsDir, `${this.#file}-${segment}.jsonl`);
  }

  /** Start of the temporary path of the result while it is written. */
  get resultStem(): string {
    return join(this.partsDir, `${this.#file}-result`);
  }

  /** Exists if the segments of this file cannot be used. */
  get #flagPath(): string {
    return join(this.partsDir, `${this.#file}.whole`);
  }

  /** Marks the file to be inferred as a whole by the merge task. @throws SINK_FAILED */
  async markWhole(why: string): Promise<void> {
    try {
      await mkdir(this.partsDir, { recursive: true });
      await writeFile(this.#flagPath, `${why}\n`);
    } catch (error) {
      throw fileFailure('job', this.#flagPath, error as Error);
    }
  }

  isMarkedWhole(): Promise<boolean> {
    return exists(this.#flagPath);
  }

  /** Returns whether this job has already written the result. Parts are deleted afterwards, so then the first part is gone. */
  async isMerged(): Promise<boolean> {
    if ((await this.isMarkedWhole()) || (await exists(this.partPath(0)))) return false;
    const result = await stat(this.resultPath).catch(() => null);
    return result !== null && result.mtimeMs >= this.#createdMs - CLOCK_SKEW_MS;
  }

  /** Deletes this file's parts and the leftovers of killed processes. Can be interrupted and repeated. */
  async clear(): Promise<void> {
    await rm(this.partPath(0), { force: true });
    await rm(this.#flagPath, { force: true });
    const names = await readdir(this.partsDir).catch(() => []);
    const own = names.filter((name) => name.startsWith(`${this.#file}-`) || name.startsWith(`${this.#file}.`));
    await Promise.all(own.map((name) => rm(join(this.partsDir, name), { force: true })));
    await removeEmpty(this.partsDir);
    await removeEmpty(dirname(this.partsDir));
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Fails silently if other files of the job still have parts in the folder. */
async function removeEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => undefined);
}
