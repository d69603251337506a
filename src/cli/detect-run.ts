import { existsSync } from 'node:fs';
import { SightlineError } from '../errors/sightline-error.ts';
import { FrameRecord, type Recorded, type RecordedEnd } from '../sinks/frame-record.ts';
import { note } from './cli-io.ts';
import { type ReadJob, type ReadOutcome, readItem, whyWhole } from './detect-input.ts';
import { type DetectItem, detectStream, labelOf } from './detect-plan.ts';
import type { ResumeFolder } from './detect-resume.ts';
import { type InputSummary, ItemResults, type ItemSummary, type SourceTally } from './item-results.ts';
import type { TotalProgress } from './total-progress.ts';

export interface DetectJob extends ReadJob {
  readonly items: readonly DetectItem[];
  readonly jobs: number;
  /** Null if an output cannot be written again after an interruption: results then go to the outputs at once, one item after the other. */
  readonly resume: ResumeFolder | null;
  readonly progress: TotalProgress;
}

const NOTHING: Recorded = { frames: 0, ptsUs: 0, end: null };

/**
 * Reads all items, several at once, and writes their results. Never rejects because of an input.
 *
 * @returns those that were begun, in order.
 */
export async function detectAll(job: DetectJob): Promise<readonly ItemSummary[]> {
  const begun: Promise<ItemSummary>[] = [];
  let previous: Promise<boolean> = Promise.resolve(true);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < job.items.length && !job.stop.aborted) {
      const run = new ItemRun(job, job.items[next++]!);
      const summary = run.done(job.outputs.isOrdered ? previous : Promise.resolve(true));
      previous = summary.then(() => run.isComplete);
      begun.push(summary);
      await (job.outputs.isOrdered ? run.read : summary);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, job.jobs) }, work));
  return Promise.all(begun);
}

/**
 * One item. Its stream's results go into a record, and from there to the outputs when its turn comes. An item of an earlier run
 * takes the same way: the outputs are written again from the record, and the stream reads the rest.
 */
class ItemRun {
  readonly #job: DetectJob;
  readonly #item: DetectItem;
  readonly #label: string;
  /** Resolves when its source has been read. Never rejects. */
  readonly read: Promise<void>;
  #onRead = (): void => undefined;
  readonly #results: ItemResults;
  /** All its results are in the outputs. */
  isComplete = false;

  constructor(job: DetectJob, item: DetectItem) {
    this.#job = job;
    this.#item = item;
    const { runtime, flags, classes, outputs } = job;
    this.read = new Promise((resolve) => {
      this.#onRead = resolve;
    });
    const source = item.sources[0]!;
    this.#label = labelOf(source);
    this.#results = new ItemResults({
      ...{ item, classes, outputs, reportScore: runtime.scoreThreshold },
      maxPixels: runtime.ffmpeg.confinement.maxPixels,
      isRaw: whyWhole(item, flags) === null,
      config: detectStream('input', source, flags),
      label: this.#label,
    });
  }

  /**
   * Never rejects: what cannot be written is reported to the outputs.
   *
   * @param turn - resolves when all results of the items before are in the outputs; with false if some are missing.
   */
  async done(turn: Promise<boolean>): Promise<ItemSummary> {
    const { resume, outputs } = this.#job;
    const startedMs = performance.now();
    let end: ItemEnd = NOT_READ;
    try {
      end = await (resume === null ? this.#pass(startedMs) : this.#record(resume, turn, startedMs));
    } catch (error) {
      outputs.fail(SightlineError.from(error, 'INTERNAL_ERROR'));
    } finally {
      this.#onRead();
    }
    return this.#summary(end);
  }

  /** Passes results to the outputs as they come. */
  async #pass(startedMs: number): Promise<ItemEnd> {
    const { progress } = this.#job;
    const results = this.#results;
    await results.open();
    const outcome = await readItem(this.#job, this.#item, NOTHING, (entry, share) => {
      progress.update(this.#item, share);
      return results.add(entry);
    });
    progress.done(this.#item);
    this.isComplete = !outcome.isInterrupted;
    await results.close(this.#isWorthKeeping(outcome));
    return { ...outcome, error: outcome.error?.toWire() ?? null, seconds: (performance.now() - startedMs) / 1000 };
  }

  async #record(resume: ResumeFolder, turn: Promise<boolean>, startedMs: number): Promise<ItemEnd> {
    const { runtime, flags, onFailure, io, progress } = this.#job;
    const record = await FrameRecord.open(
      {
        path: resume.recordPath(this.#item.order),
        classes: runtime.spec.classes,
        every: this.#item.kind === 'pictures' ? 1 : flags.every,
        onFailure,
      },
      (recorded) => this.#isOfUse(recorded, io),
    );
    const { recorded } = record;
    const writing = turn
      .then((isTurn) => (isTurn ? this.#write(record) : undefined))
      .catch((error: unknown) => this.#job.outputs.fail(SightlineError.from(error, 'INTERNAL_ERROR')));
    let end: ItemEnd;
    if (recorded.end !== null) {
      end = { ...recorded.end, isInterrupted: false };
      await record.close(null);
    } else {
      const outcome = await readItem(this.#job, this.#item, recorded, (entry, share) => {
        progress.update(this.#item, share);
        return record.add(entry);
      });
      const { decodeErrors, cached, warnings, isInterrupted } = outcome;
      const seconds = (performance.now() - startedMs) / 1000;
      const error = outcome.error?.toWire() ?? null;
      end = { seconds, frames: outcome.frames, decodeErrors, cached, warnings, isInterrupted, error };
      const { isInterrupted: _, ...written } = end;
      await record.close(isInterrupted ? null : written);
    }
    progress.done(this.#item);
    this.#onRead();
    await writing;
    const isTurn = await turn;
    this.isComplete = isTurn && !end.isInterrupted;
    await this.#results.close(isTurn && this.#isWorthKeeping(end));
    return end;
  }

  async #write(record: FrameRecord): Promise<void> {
    await this.#results.open();
    for await (const entry of record.entries()) {
      const wait = this.#results.add(entry);
      if (wait !== null) await wait;
    }
  }

  /** A file that could not be read to its end is tried again: the cause may be gone. */
  #isOfUse({ frames, end }: Recorded, io: DetectJob['io']): boolean {
    const { outputs, flags } = this.#job;
    const item = this.#item;
    const path = item.kind === 'pictures' ? null : outputs.videoPath(item.first);
    if (end !== null) return end.error === null && (path === null || existsSync(path));
    const why = whyWhole(item, flags);
    if (frames > 0 && why !== null) note(io, `${this.#label} starts again at its first frame: ${why}`);
    return why === null;
  }

  #isWorthKeeping({ isInterrupted, error }: Pick<ReadOutcome, 'isInterrupted'> & { readonly error: unknown }): boolean {
    return !isInterrupted && (error === null || this.#results.tallies.some(({ frames }) => frames > 0));
  }

  #summary(end: ItemEnd): ItemSummary {
    const { tallies, results } = this.#results;
    const { sources, kind } = this.#item;
    const seconds = end.seconds / sources.length;
    const fps = end.seconds === 0 ? 0 : end.frames / end.seconds;
    const inputs = tallies.map(({ frames, detections, warning, error }: SourceTally, i): InputSummary => {
      const isPicture = kind === 'pictures';
      return {
        source: isPicture ? sources[i]! : this.#label,
        frames,
        detections,
        seconds,
        fps,
        decodeErrors: end.decodeErrors,
        results: isPicture
          ? { inferred: frames, tracked: 0, unchanged: 0, cached: 0 }
          : { ...results, cached: end.cached },
        warnings: isPicture ? (warning === null ? [] : [warning]) : end.warnings,
        error: error ?? end.error,
        isInterrupted: end.isInterrupted && (!isPicture || (frames === 0 && error === null)),
      };
    });
    return { item: this.#item, inputs };
  }
}

const NOT_READ: ItemEnd = {
  seconds: 0,
  frames: 0,
  decodeErrors: 0,
  cached: 0,
  warnings: [],
  error: null,
  isInterrupted: true,
};

interface ItemEnd extends RecordedEnd {
  readonly isInterrupted: boolean;
}
