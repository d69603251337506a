import type { StreamConfig } from '../config/stream.ts';
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
  /** Only detections with these labels are written; all if null. */
  readonly classes: ReadonlySet<string> | null;
  readonly outputs: DetectOutputs;
}

/** What was written of one input. */
export interface SourceTally {
  frames: number;
  detections: number;
  error: WireError | null;
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
    this.tallies = options.item.sources.map(() => ({ frames: 0, detections: 0, error: null }));
  }

  /** Opens the outputs of a video; call it first. */
  async open(): Promise<void> {
    const { item, outputs } = this.#options;
    if (item.kind === 'video') this.#sinks = await outputs.openFor(item.first);
  }

  /** @returns a promise to await before the next one, which never rejects; null if there is none. */
  add(entry: RecordEntry): Promise<unknown> | null {
    if (this.#options.item.kind === 'video') return 'error' in entry ? null : this.#addFrame(entry);
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
    return this.#publish(entry, this.#analytics, this.#sinks!.all, label, this.tallies[0]!);
  }

  /** Each picture is an input of its own: a file of one frame. */
  async #addPicture(entry: RecordEntry): Promise<void> {
    const { item, outputs } = this.#options;
    const tally = this.tallies[entry.frame]!;
    if ('error' in entry) {
      tally.error = entry.error;
      return;
    }
    const { own, all } = await outputs.openFor(item.first + entry.frame);
    await this.#publish({ ...entry, frame: 0 }, this.#newAnalytics(), all, item.sources[entry.frame]!, tally);
    await outputs.closeOwn(own, true);
  }

  #publish(
    { frame, ptsUs, width, height, by, detections: found }: RecordedFrame,
    analytics: StreamAnalytics,
    sinks: readonly Sink[],
    label: string,
    tally: SourceTally,
  ): Promise<unknown> | null {
    const { classes, isRaw } = this.#options;
    const analysed = isRaw ? analytics.update({ width, height, ptsUs }, found).detections : found;
    const detections = classes === null ? analysed : analysed.filter((each) => classes.has(each.label));
    tally.frames += 1;
    tally.detections += detections.length;
    this.results[by] += 1;
    const result = { streamId: label, frame, ptsUs: ptsUs as PtsUs, width, height, by, detections };
    const waits = sinks.filter((sink) => !sink.publish(result, label)).map((sink) => sink.drained());
    return waits.length === 0 ? null : Promise.all(waits);
  }
}
