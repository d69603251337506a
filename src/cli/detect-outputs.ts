import { constants } from 'node:fs';
import { access, mkdir, readdir, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Detection } from '../core/detection.ts';
import { writeWholeFile } from '../disk/replace-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { lockOutputs } from '../runtime/results/open-sinks.ts';
import { CocoSink } from '../sinks/coco-sink.ts';
import { CsvSink } from '../sinks/csv-sink.ts';
import { JsonlSink } from '../sinks/jsonl-sink.ts';
import type { OutputLock } from '../sinks/output-lock.ts';
import { checkReplaceable, isDevice, partialPathOf, resolveOutput } from '../sinks/output-names.ts';
import type { PictureSink, Sink } from '../sinks/sink.ts';
import { fileFailure } from '../sinks/sink-failure.ts';
import { YoloSink } from '../sinks/yolo-sink.ts';
import { type CliIo, note } from './cli-io.ts';
import { type DetectPlan, type OutputPlace, type OutputPlan, placesOf, type ResultPlace } from './detect-plan.ts';
import { pictureWithBoxes } from './sample-pictures.ts';
import { labelNamesIn, type WrittenLabels } from './written-labels.ts';

/** File with the class names, one a line, in the order of the indices in label files. */
const CLASSES_FILE = 'classes.txt';
/** Container of the videos in a folder. */
const VIDEO_EXTENSION = '.mp4';
/** Of the pictures with boxes beside them. */
const PICTURE_EXTENSION = '.jpg';

export interface OutputOptions {
  readonly plan: DetectPlan;
  /** Labels of the model. */
  readonly classes: readonly string[];
  /** An earlier run is continued: its partial files are written again. */
  readonly isResumed: boolean;
  /** A finished run whose label files may be replaced, and why. */
  readonly before: { readonly replaced: WrittenLabels | null; readonly notice: string | null } | null;
  readonly io: CliIo;
  /** Called for the first failure of each output. */
  readonly onFailure: () => void;
}

/** Makes the folders of the outputs, and locks all outputs. @throws SINK_BUSY, SINK_FAILED */
export async function lockPlan(outputs: OutputPlan): Promise<OutputLock[]> {
  const places = new Map<string, { readonly id: string; readonly path: string }>();
  for (const { id, path, isFolder } of placesOf(outputs)) {
    if (isFolder)
      await mkdir(path, { recursive: true }).catch((error: Error) => {
        throw fileFailure(id, path, error);
      });
    // Several kinds of outputs may share a folder: their files have names of their own.
    places.set(isFolder ? await realpath(path) : `${places.size}`, { id, path });
  }
  return lockOutputs([...places.values()]);
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
    const { out, coco, yolo } = plan.outputs;
    const listeners = listenersOf(options);
    const shared: Sink[] = [];
    for (const place of placesOf({ ...plan.outputs, yolo: null })) await requireWritable(place.id, place);
    const replaced = yolo === null || isResumed ? [] : await replaceableLabels(yolo.path, before);
    for (const place of [...out, coco])
      if (isResumed && place !== null && !place.isFolder) await removePartial(place.path);
    for (const place of out) if (!place.isFolder) shared.push(lineSink(options, place.path, place));
    if (coco !== null)
      shared.push(new CocoSink({ id: '--coco', path: coco.path, classes, sources: plan.sources, ...listeners }));
    if (yolo !== null) {
      const path = join(yolo.path, CLASSES_FILE);
      await writeWholeFile(path, classes.map((label) => `${label}\n`).join('')).catch((error: Error) => {
        throw fileFailure('--yolo', path, error);
      });
      for (const name of replaced)
        await rm(join(yolo.path, name), { force: true }).catch((error: Error) => {
          throw fileFailure('--yolo', join(yolo.path, name), error);
        });
    }
    return new DetectOutputs(options, shared);
  }

  /** True if results must come in the order of the inputs. */
  get isOrdered(): boolean {
    return this.#shared.length > 0;
  }

  /** Opens the outputs of one input. @returns these and those of all inputs. */
  async openFor(source: number): Promise<{ readonly own: readonly Sink[]; readonly all: readonly Sink[] }> {
    const { plan, isResumed, onFailure } = this.#options;
    const { out, yolo, names, stems } = plan.outputs;
    const own: Sink[] = [];
    for (const place of out) {
      if (!place.isFolder) continue;
      const path = join(place.path, `${names[source]}.${place.format}`);
      if (isResumed) await removePartial(path);
      own.push(lineSink(this.#options, path, place));
    }
    if (yolo !== null) {
      const isPicture = plan.arePictures[source]!;
      own.push(new YoloSink({ id: '--yolo', folder: yolo.path, stem: stems[source]!, isPicture, onFailure }));
    }
    for (const sink of own) this.#own.add(sink);
    return { own, all: [...own, ...this.#shared] };
  }

  /** Path of the video, or picture with boxes, of one input; null if none is wanted. */
  videoPath(source: number): string | null {
    return videoPathOf(this.#options.plan, source);
  }

  /** Writes one picture with its boxes, if videos are wanted. It appears complete or not at all. */
  async drawPicture(source: number, detections: readonly Detection[], maxPixels: number): Promise<void> {
    const path = this.videoPath(source);
    if (path === null) return;
    const partialPath = partialPathOf(path);
    try {
      await writeFile(partialPath, await pictureWithBoxes(this.#options.plan.sources[source]!, detections, maxPixels));
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

function videoPathOf({ arePictures, outputs: { video, names } }: DetectPlan, source: number): string | null {
  if (video === null) return null;
  const extension = arePictures[source] === true ? PICTURE_EXTENSION : VIDEO_EXTENSION;
  return video.isFolder ? join(video.path, `${names[source]}${extension}`) : video.path;
}

/** Paths that a command writes; of a folder for labels, only the list of classes. @param isRead - which inputs can be read. */
export function pathsWritten(plan: DetectPlan, isRead: readonly boolean[]): string[] {
  const { out, coco, yolo, names } = plan.outputs;
  const wanted = [...plan.sources.keys()].filter((source) => isRead[source]);
  const lines = out.flatMap(({ path, isFolder, format }) =>
    isFolder ? wanted.map((source) => join(path, `${names[source]}.${format}`)) : [path],
  );
  const labels = yolo === null ? null : join(yolo.path, CLASSES_FILE);
  const all = [...lines, coco?.path ?? null, labels, ...wanted.map((source) => videoPathOf(plan, source))];
  return all.filter((path) => path !== null);
}

/** What cannot be written is found before anything is done. @throws SINK_FAILED */
export async function requireWritable(id: string, { path, isFolder }: OutputPlace): Promise<void> {
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
  throw new SightlineError(
    'COMMAND_INVALID',
    `${why}--yolo: ${folder} holds labels already (${foreign}); name an empty folder`,
  );
}

function listenersOf({ onFailure, io }: OutputOptions): { onFailure: () => void; onNotice: (text: string) => void } {
  return { onFailure, onNotice: (text) => note(io, text) };
}

function lineSink(options: OutputOptions, path: string, { format }: ResultPlace): Sink {
  const id = '--out';
  const listeners = listenersOf(options);
  if (format === 'csv') return new CsvSink({ id, path, ...listeners });
  return new JsonlSink({ id, path, namesInputs: true, stdout: options.io.stdout, ...listeners });
}

/** Removes what an interrupted run wrote: it is written again. */
async function removePartial(path: string): Promise<void> {
  const resolved = await resolveOutput(path).catch(() => path);
  await rm(partialPathOf(resolved), { force: true });
}
