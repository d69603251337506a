import type { StreamConfig } from '../config/stream.ts';
import type { Detection } from '../core/detection.ts';
import type { PtsUs } from '../core/units.ts';
import type { WireError } from '../errors/sightline-error.ts';
import type { ResultCounters } from '../protocol/report.ts';
import { StreamAnalytics } from '../runtime/stream/stream-analytics.ts';
import type { RecordEntry, RecordedFrame } from '../sinks/frame-record.ts';
import type { Sink } from '../sinks/sink.ts';
import type { DetectOutputs } from './detect-outputs.ts';
import type { DetectItem } from './detect-plan.ts';

export interface ItemResultsOptions {
  readonly item: DetectItem;
  /** Name of a video in results. */
  readonly label: string;
  readonly config: StreamConfig;
  /** The entries have no tracks yet: they are computed here. */
  readonly isRaw: boolean;
  readonly reportScore: number;
  /** Of a picture that is drawn on. */
  readonly maxPixels: number;
  /** Only detections with these labels are written; all if null. */
  readonly classes: ReadonlySet<string> | null;
  readonly outputs: DetectOutputs;
}

/** What was written of one input. */
export interface SourceTally {
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
  readonly #options: ItemResultsOptions;
  readonly #analytics: StreamAnalytics;
  /** Outputs of a video. */
  #sinks: Awaited<ReturnType<DetectOutputs['openFor']>> | null = null;
  /** Pictures are written one after the other. */
  #writing: Promise<unknown> = Promise.resolve();
  readonly results: { -readonly [K in keyof ResultCounters]: number } = {
    inferred: 0,
    tracked: 0,
    unchanged: 0,
    cached: 0,
  };
  /** One for each source. */
  readonly tallies: readonly SourceTally[];

  constructor(options: ItemResultsOptions) {
    this.#options = options;
    this.#analytics = this.#newAnalytics();
    this.tallies = options.item.sources.map(() => ({ frames: 0, detections: 0, warning: null, error: null }));
  }

  /** Opens the outputs of a video; call it first. */
  async open(): Promise<void> {
    const { item, outputs } = this.#options;
    if (item.kind === 'video') this.#sinks = await outputs.openFor(item.first);
  }

  /** @returns a promise to await before the next one, which never rejects; null if there is none. */
  add(entry: RecordEntry): Promise<unknown> | null {
    if (this.#options.item.kind === 'video') return 'detections' in entry ? this.#addFrame(entry) : null;
    this.#writing = this.#writing.then(() => this.#addPicture(entry));
    return this.#writing;
  }

  /** Completes the outputs of a video. @param isComplete - it was read to its end, or as far as it can be. */
  async close(isComplete: boolean): Promise<void> {
    await this.#writing;
    if (this.#sinks !== null) await this.#options.outputs.closeOwn(this.#sinks.own, isComplete);
  }

  #newAnalytics(): StreamAnalytics {
    const { config, isRaw, reportScore } = this.#options;
    return new StreamAnalytics(isRaw ? config : { track: false, zones: [], lines: [] }, reportScore);
  }

  #addFrame(entry: RecordedFrame): Promise<unknown> | null {
    const { label } = this.#options;
    const detections = this.#finalDetections(entry, this.#analytics);
    return this.#publish({ ...entry, detections }, this.#sinks!.all, label, this.tallies[0]!);
  }

  #finalDetections(entry: RecordedFrame, analytics: StreamAnalytics): readonly Detection[] {
    const { width, height, ptsUs, detections: found } = entry;
    const { classes, isRaw } = this.#options;
    const analysed = isRaw ? analytics.update({ width, height, ptsUs }, found).detections : found;
    return classes === null ? analysed : analysed.filter((each) => classes.has(each.label));
  }

  /** Each picture is an input of its own: a file of one frame. */
  async #addPicture(entry: RecordEntry): Promise<void> {
    const { item, outputs, maxPixels } = this.#options;
    const tally = this.tallies[entry.frame]!;
    if ('error' in entry) tally.error = entry.error;
    if ('warning' in entry) tally.warning = entry.warning;
    if (!('detections' in entry)) return;
    const source = item.first + entry.frame;
    const { own, all } = await outputs.openFor(source);
    const label = item.sources[entry.frame]!;
    const detections = this.#finalDetections(entry, this.#newAnalytics());
    await this.#publish({ ...entry, frame: 0, detections }, all, label, tally);
    await outputs.closeOwn(own, true);
    await outputs.drawPicture(source, detections, maxPixels);
  }

  #publish(
    { frame, ptsUs, width, height, by, detections }: RecordedFrame,
    sinks: readonly Sink[],
    label: string,
    tally: SourceTally,
  ): Promise<unknown> | null {
    tally.frames += 1;
    tally.detections += detections.length;
    this.results[by] += 1;
    const result = { streamId: label, frame, ptsUs: ptsUs as PtsUs, width, height, by, detections };
    const waits = sinks.filter((sink) => !sink.publish(result, label)).map((sink) => sink.drained());
    return waits.length === 0 ? null : Promise.all(waits);
  }
}
