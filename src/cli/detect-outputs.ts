import { constants } from 'node:fs';
import { access, mkdir, readdir, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { CocoSink } from '../after/sinks/coco-sink.ts';
import { CsvSink } from '../after/sinks/csv-sink.ts';
import { JsonlSink } from '../after/sinks/jsonl-sink.ts';
import { MotSink } from '../after/sinks/mot-sink.ts';
import { lockOutputs } from '../after/sinks/open-sinks.ts';
import type { OutputLock } from '../after/sinks/output-lock.ts';
import { checkReplaceable, isDevice, partialPathOf, resolveOutput } from '../after/sinks/output-names.ts';
import { ParquetFileSink } from '../after/sinks/parquet-file-sink.ts';
import type { PictureSink, Sink } from '../after/sinks/sink.ts';
import { fileFailure } from '../after/sinks/sink-failure.ts';
import { labelFileName, YoloSink } from '../after/sinks/yolo-sink.ts';
import type { Detection } from '../base/core/detection.ts';
import { writeWholeFile } from '../base/disk/replace-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { type CliIo, note, wrongCommand } from './cli-io.ts';
import {
  type DetectItem,
  type DetectPlan,
  type DetectSource,
  fileIn,
  type OutputPlace,
  type OutputPlan,
} from './detect-plan.ts';
import { pictureWithBoxes } from './sample-pictures.ts';

/** File with the class names, one a line, in the order of the indices in label files. */
const CLASSES_FILE = 'classes.txt';

export interface OutputOptions {
  readonly plan: DetectPlan;
  /** Labels of the model. */
  readonly classes: readonly string[];
  /** Names of all that second stages say. */
  readonly attributes: readonly string[];
  /** An earlier run is continued: its partial files are written again. */
  readonly isResumed: boolean;
  /** A finished run whose label files may be replaced, and why. */
  readonly before: { readonly replaced: WrittenLabels | null; readonly notice: string | null } | undefined;
  readonly io: CliIo;
  /** Called for the first failure of each output. */
  readonly onFailure: () => void;
}

/** Makes the folders of the outputs, and locks all outputs. @throws SINK_BUSY, SINK_FAILED */
export async function lockPlan({ places }: OutputPlan): Promise<OutputLock[]> {
  const locked = new Map<string, OutputPlace>();
  for (const place of places) {
    const { id, path, isFolder } = place;
    if (isFolder) await mkdir(path, { recursive: true }).catch(failureOf(id, path));
    // Several kinds of outputs may share a folder: their files have names of their own.
    locked.set(isFolder ? await realpath(path) : `${locked.size}`, place);
  }
  return lockOutputs([...locked.values()]);
}

/** The outputs of a command: some are one file for all inputs, some a file for each. */
export class DetectOutputs {
  readonly #options: OutputOptions;
  /** For all inputs. */
  readonly #shared: readonly Sink[];
  /** For one input, until they are closed. */
  readonly #own = new Set<Sink | PictureSink>();
  readonly #failures: SightlineError[] = [];

  private constructor(options: OutputOptions, shared: readonly Sink[]) {
    this.#options = options;
    this.#shared = shared;
  }

  /** Their files must be locked. @throws COMMAND_INVALID, SINK_FAILED if they cannot be written; later failures are reported */
  static async open(options: OutputOptions): Promise<DetectOutputs> {
    const { plan, classes, isResumed, before } = options;
    const { places } = plan.outputs;
    const yolo = places.find(({ id }) => id === '--yolo');
    for (const place of places) if (place !== yolo) await requireWritable(place.id, place);
    const replaced = yolo === undefined || isResumed ? [] : await replaceableLabels(yolo.path, before);
    const files = places.filter(({ id, isFolder }) => !isFolder && id !== '--video');
    if (isResumed) for (const { path } of files) await removePartial(path);
    const shared = files.map((place) => resultSink(options, place, place.path));
    if (yolo !== undefined) {
      const path = join(yolo.path, CLASSES_FILE);
      await writeWholeFile(path, classes.map((label) => `${label}\n`).join('')).catch(failureOf('--yolo', path));
      for (const name of replaced) {
        const label = join(yolo.path, name);
        await rm(label, { force: true }).catch(failureOf('--yolo', label));
      }
    }
    return new DetectOutputs(options, shared);
  }

  /** True if results must come in the order of the inputs. */
  get isOrdered(): boolean {
    return this.#shared.length > 0;
  }

  /** Opens the outputs of one input. @returns these and those of all inputs. */
  async openFor(source: DetectSource): Promise<{ readonly own: readonly Sink[]; readonly all: readonly Sink[] }> {
    const { plan, isResumed, onFailure } = this.#options;
    const own: Sink[] = [];
    for (const place of plan.outputs.places) {
      const { id, path: folder, isFolder } = place;
      if (!isFolder || id === '--video') continue;
      if (id === '--yolo') {
        const { stem, isPicture } = source;
        own.push(new YoloSink({ id, folder, stem, isPicture, onFailure }));
        continue;
      }
      const path = fileIn(place, source);
      if (isResumed) await removePartial(path);
      own.push(resultSink(this.#options, place, path));
    }
    for (const sink of own) this.#own.add(sink);
    return { own, all: [...own, ...this.#shared] };
  }

  /** Path of the video, or picture with boxes, of one input; null if none is wanted. */
  videoPath(source: DetectSource): string | null {
    const place = this.#options.plan.outputs.places.find(({ id }) => id === '--video');
    return place === undefined ? null : fileIn(place, source);
  }

  /** Writes one picture with its boxes, if videos are wanted. It appears complete or not at all. */
  async drawPicture(source: DetectSource, detections: readonly Detection[], maxPixels: number): Promise<void> {
    const path = this.videoPath(source);
    if (path === null) return;
    const partialPath = partialPathOf(path);
    try {
      await writeFile(partialPath, await pictureWithBoxes(source.path, detections, maxPixels));
      await rename(partialPath, path);
    } catch (error) {
      this.fail(error instanceof SightlineError ? error : fileFailure('--video', path, error as Error));
    }
  }

  /** @param open - opens the video of one input at its path. */
  async openVideo<T extends PictureSink>(path: string, open: () => Promise<T>): Promise<T> {
    if (this.#options.isResumed) await removePartial(path);
    const sink = await open();
    this.#own.add(sink);
    return sink;
  }

  /** Closes outputs of one input. @param isComplete - it was read to its end. */
  async closeOwn(sinks: readonly (Sink | PictureSink)[], isComplete: boolean): Promise<void> {
    await Promise.all(
      sinks.map(async (sink) => {
        this.#own.delete(sink);
        await sink.close(isComplete).catch((error: SightlineError) => this.fail(error));
      }),
    );
  }

  /** Adds a failure that belongs to no single output, and stops the command. */
  fail(error: SightlineError): void {
    this.#failures.push(error);
    this.#options.onFailure();
  }

  /** Closes all that is open. @param isComplete - all inputs were read to their end. @returns the failures of all outputs. */
  async close(isComplete: boolean): Promise<readonly SightlineError[]> {
    await this.closeOwn([...this.#own], false);
    const closed = await Promise.allSettled(this.#shared.map((sink) => sink.close(isComplete)));
    const failures = closed.flatMap((each) => (each.status === 'rejected' ? [each.reason as SightlineError] : []));
    return [...this.#failures, ...failures];
  }
}

/** Paths that a command writes; of a folder for labels, only the list of classes. @param isRead - which inputs can be read. */
export function pathsWritten({ sources, outputs }: DetectPlan, isRead: readonly boolean[]): string[] {
  const wanted = sources.filter((_, i) => isRead[i]);
  return outputs.places.flatMap((place) => {
    if (place.id === '--yolo') return [join(place.path, CLASSES_FILE)];
    // A video that is one file is that of the only input.
    if (!place.isFolder && place.id !== '--video') return [place.path];
    return wanted.map((source) => fileIn(place, source));
  });
}

/** What cannot be written is found before anything is done. @throws SINK_FAILED */
export async function requireWritable(
  id: string,
  { path, isFolder }: Pick<OutputPlace, 'path' | 'isFolder'>,
): Promise<void> {
  if (!isFolder && (path === '-' || (await isDevice(path)))) return;
  try {
    const resolved = await resolveOutput(path);
    if (!isFolder) await checkReplaceable(resolved);
    await access(isFolder ? resolved : dirname(resolved), constants.W_OK);
  } catch (error) {
    throw fileFailure(id, path, error as Error);
  }
}

/**
 * Refuses a folder with label files of another run, which would be mixed with new ones.
 *
 * @returns names of those that this run replaces.
 * @throws COMMAND_INVALID
 */
async function replaceableLabels(folder: string, before: OutputOptions['before']): Promise<readonly string[]> {
  const replaced = labelNamesIn(folder, before?.replaced ?? null);
  const found = (await readdir(folder)).filter((name) => name.endsWith('.txt') && name !== CLASSES_FILE);
  const foreign = found.find((name) => !replaced.has(name));
  if (foreign === undefined) return found;
  const why = before?.notice == null ? '' : `${before.notice}. `;
  throw wrongCommand(`${why}--yolo: ${folder} holds labels already (${foreign}); name an empty folder`);
}

function resultSink(
  { plan, classes, attributes, io, onFailure }: OutputOptions,
  { id, format }: OutputPlace,
  path: string,
): Sink {
  const common = { id, path, onFailure, onNotice: (text: string): void => note(io, text) };
  if (id === '--coco') return new CocoSink({ ...common, classes, sources: plan.sources.map((source) => source.path) });
  if (id === '--parquet') return new ParquetFileSink(common);
  if (format === 'mot') return new MotSink(common);
  if (format === 'csv') return new CsvSink({ ...common, attributes });
  return new JsonlSink({ ...common, namesInputs: true, stdout: io.stdout });
}

/** Rethrows an error of the system as the failure of an output. */
function failureOf(id: string, path: string): (error: Error) => never {
  return (error) => {
    throw fileFailure(id, path, error);
  };
}

/** Removes what an interrupted run wrote: it is written again. */
async function removePartial(path: string): Promise<void> {
  const resolved = await resolveOutput(path).catch(() => path);
  await rm(partialPathOf(resolved), { force: true });
}

/** The label files that a run has written, for the run that replaces them. */
export interface WrittenLabels {
  /** Absolute. */
  readonly folder: string;
  /** Of a video, every n-th frame has a file. */
  readonly every: number;
  /** `frames` is null for a picture, which has one file. */
  readonly inputs: readonly { readonly stem: string; readonly frames: number | null }[];
}

/** @returns null if the run wrote no labels. */
export function writtenLabels(
  { places }: OutputPlan,
  items: readonly { readonly item: DetectItem; readonly inputs: readonly { readonly frames: number }[] }[],
  every: number,
): WrittenLabels | null {
  const yolo = places.find(({ id }) => id === '--yolo');
  if (yolo === undefined) return null;
  const inputs = items.flatMap(({ item, inputs: summaries }) =>
    item.sources.map(({ stem, isPicture }, i) => ({ stem, frames: isPicture ? null : summaries[i]!.frames })),
  );
  return { folder: resolve(yolo.path), every, inputs };
}

/** Names of these files, if they lie in a folder; none of any other folder. */
function labelNamesIn(folder: string, labels: WrittenLabels | null): ReadonlySet<string> {
  const names = new Set<string>();
  if (labels === null || labels.folder !== resolve(folder)) return names;
  for (const { stem, frames } of labels.inputs) {
    if (frames === null) names.add(labelFileName(stem, null));
    else for (let i = 0; i < frames; i++) names.add(labelFileName(stem, i * labels.every));
  }
  return names;
}
