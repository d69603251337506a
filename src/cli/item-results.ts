import type { RecordEntry, RecordedFrame } from '../after/sinks/frame-record.ts';
import type { Sink } from '../after/sinks/sink.ts';
import type { Detection } from '../base/core/detection.ts';
import type { PtsUs } from '../base/core/units.ts';
import type { WireError } from '../base/errors/sightline-error.ts';
import { StreamAnalytics } from '../frame/runtime/stream/stream-analytics.ts';
import { SceneSteps } from '../frame/track/scene-steps.ts';
import type { StreamConfig } from '../settings/config/stream.ts';
import type { ResultCounters, StreamReport } from '../wire/protocol/report.ts';
import { type ItemEnd, type ReadJob, whyWhole } from './detect-input.ts';
import type { DetectOutputs } from './detect-outputs.ts';
import { type DetectItem, detectStream, labelOf } from './detect-plan.ts';

/** What was written of one input. */
interface SourceTally {
  frames: number;
  detections: number;
  /** Of a picture. */
  warning: string | null;
  error: WireError | null;
}

/** The outcome of one input. */
export interface InputSummary {
  readonly source: string;
  readonly frames: number;
  readonly detections: number;
  readonly seconds: number;
  readonly fps: number;
  readonly decodeErrors: number;
  /** Only with `--decode`: which frames were decoded, and how many were not; null if it is not known. */
  readonly decode?: StreamReport['decode'];
  /** How the frames got their results. */
  readonly results: ResultCounters;
  readonly warnings: readonly string[];
  readonly error: WireError | null;
  /** It was stopped before its end. */
  readonly isInterrupted: boolean;
}

/** What became of one item. */
export interface ItemSummary {
  readonly item: DetectItem;
  /** One for each source. */
  readonly inputs: readonly InputSummary[];
}

/** Turns what one item found into its results, and passes them to the outputs, in order. */
export class ItemResults {
  readonly #job: ReadJob;
  readonly #item: DetectItem;
  /** Name of a video in results. */
  readonly label: string;
  /** Why it must be read from its first frame on. If null, the entries have no tracks yet: they are computed here. */
  readonly whyWhole: string | null;
  readonly #config: StreamConfig;
  readonly #analytics: StreamAnalytics;
  readonly #steps = new SceneSteps();
  /** Outputs of a video. */
  #sinks: Awaited<ReturnType<DetectOutputs['openFor']>> | null = null;
  /** Pictures are written one after the other. */
  #writing: Promise<unknown> = Promise.resolve();
  readonly #counts: { -readonly [K in keyof ResultCounters]: number } = {
    inferred: 0,
    tracked: 0,
    unchanged: 0,
    cached: 0,
  };
  /** One for each source. */
  readonly #tallies: readonly SourceTally[];

  constructor(job: ReadJob, item: DetectItem) {
    const { path } = item.sources[0]!;
    this.#job = job;
    this.#item = item;
    this.label = labelOf(path);
    this.whyWhole = whyWhole(item, job.flags);
    this.#config = detectStream('input', path, job.flags);
    this.#analytics = this.#newAnalytics();
    this.#tallies = item.sources.map(() => ({ frames: 0, detections: 0, warning: null, error: null }));
  }

  /** Something was written. */
  get hasFrames(): boolean {
    return this.#tallies.some(({ frames }) => frames > 0);
  }

  /** Opens the outputs of a video; call it first. */
  async open(): Promise<void> {
    const { kind, sources } = this.#item;
    if (kind === 'video') this.#sinks = await this.#job.outputs.openFor(sources[0]!);
  }

  /** @returns a promise to await before the next one, which never rejects; null if there is none. */
  add(entry: RecordEntry): Promise<unknown> | null {
    if (this.#item.kind === 'video') return 'detections' in entry ? this.#addFrame(entry) : null;
    this.#writing = this.#writing.then(() => this.#addPicture(entry));
    return this.#writing;
  }

  /** Completes the outputs of a video. @param isComplete - it was read to its end, or as far as it can be. */
  async close(isComplete: boolean): Promise<void> {
    await this.#writing;
    if (this.#sinks !== null) await this.#job.outputs.closeOwn(this.#sinks.own, isComplete);
  }

  /** @param end - how reading it ended. */
  summary(end: ItemEnd): ItemSummary {
    const { sources, kind } = this.#item;
    const isPicture = kind === 'pictures';
    const seconds = end.seconds / sources.length;
    const fps = end.seconds === 0 ? 0 : end.frames / end.seconds;
    const inputs = this.#tallies.map(
      ({ frames, detections, warning, error }, i): InputSummary => ({
        source: isPicture ? sources[i]!.path : this.label,
        frames,
        detections,
        seconds,
        fps,
        decodeErrors: end.decodeErrors,
        ...(end.decode === undefined ? {} : { decode: end.decode }),
        results: isPicture
          ? { inferred: frames, tracked: 0, unchanged: 0, cached: 0 }
          : { ...this.#counts, cached: end.cached },
        warnings: isPicture ? (warning === null ? [] : [warning]) : end.warnings,
        error: error ?? end.error,
        isInterrupted: end.isInterrupted && (!isPicture || (frames === 0 && error === null)),
      }),
    );
    return { item: this.#item, inputs };
  }

  #newAnalytics(): StreamAnalytics {
    const config = this.whyWhole === null ? this.#config : { track: false as const, zones: [], lines: [] };
    return new StreamAnalytics(config, this.#job.runtime.scoreThreshold);
  }

  #addFrame(entry: RecordedFrame): Promise<unknown> | null {
    const detections = this.#finalDetections(entry, this.#analytics);
    return this.#publish({ ...entry, detections }, this.#sinks!.all, this.label, this.#tallies[0]!);
  }

  #finalDetections(entry: RecordedFrame, analytics: StreamAnalytics): readonly Detection[] {
    const { detections: found, moved } = entry;
    const { classes } = this.#job;
    const frame = { ...entry, shift: this.#steps.by(moved) };
    const analysed = this.whyWhole === null ? analytics.update(frame, found).detections : found;
    return classes === null ? analysed : analysed.filter((each) => classes.has(each.label));
  }

  /** Each picture is an input of its own: a file of one frame. */
  async #addPicture(entry: RecordEntry): Promise<void> {
    const tally = this.#tallies[entry.frame]!;
    if ('error' in entry) tally.error = entry.error;
    if ('warning' in entry) tally.warning = entry.warning;
    if (!('detections' in entry)) return;
    const { outputs, runtime } = this.#job;
    const source = this.#item.sources[entry.frame]!;
    const { own, all } = await outputs.openFor(source);
    const detections = this.#finalDetections(entry, this.#newAnalytics());
    await this.#publish({ ...entry, frame: 0, detections }, all, source.path, tally);
    await outputs.closeOwn(own, true);
    await outputs.drawPicture(source, detections, runtime.ffmpeg.confinement.maxPixels);
  }

  #publish(
    { frame, ptsUs, width, height, by, detections }: RecordedFrame,
    sinks: readonly Sink[],
    label: string,
    tally: SourceTally,
  ): Promise<unknown> | null {
    tally.frames += 1;
    tally.detections += detections.length;
    this.#counts[by] += 1;
    const result = { streamId: label, frame, ptsUs: ptsUs as PtsUs, width, height, by, detections };
    const waits = sinks.filter((sink) => !sink.publish(result, label)).map((sink) => sink.drained());
    return waits.length === 0 ? null : Promise.all(waits);
  }
}
