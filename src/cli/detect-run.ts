import { existsSync } from 'node:fs';
import { FrameRecord, type Recorded } from '../after/sinks/frame-record.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { note } from './cli-io.ts';
import { type ItemEnd, type ReadJob, readItem } from './detect-input.ts';
import type { DetectItem } from './detect-plan.ts';
import type { ResumeFolder } from './detect-resume.ts';
import { ItemResults, type ItemSummary } from './item-results.ts';
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
  let turn: Promise<boolean> = Promise.resolve(true);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < job.items.length && !job.stop.aborted) {
      const run = new ItemRun(job, job.items[next++]!);
      const summary = run.done(turn);
      begun.push(summary);
      if (job.outputs.isOrdered) turn = summary.then(() => run.isComplete);
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
  readonly #results: ItemResults;
  /** Resolves when its source has been read. Never rejects. */
  readonly read: Promise<void>;
  #onRead = (): void => undefined;
  /** All its results are in the outputs. */
  isComplete = false;

  constructor(job: DetectJob, item: DetectItem) {
    this.#job = job;
    this.#item = item;
    this.#results = new ItemResults(job, item);
    this.read = new Promise((resolve) => {
      this.#onRead = resolve;
    });
  }

  /**
   * Never rejects: what cannot be written is reported to the outputs.
   *
   * @param turn - resolves when all results of the items before are in the outputs; with false if some are missing.
   */
  async done(turn: Promise<boolean>): Promise<ItemSummary> {
    let end: ItemEnd = NOT_READ;
    try {
      end = await this.#run(turn);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#onRead();
    }
    return this.#results.summary(end);
  }

  async #run(turn: Promise<boolean>): Promise<ItemEnd> {
    const { progress } = this.#job;
    const item = this.#item;
    const record = await this.#openRecord();
    const recorded = record?.recorded ?? NOTHING;
    const writing = record === null ? null : this.#write(record, turn);
    if (record === null) await this.#results.open();
    const target = record ?? this.#results;
    const end: ItemEnd =
      recorded.end !== null
        ? { ...recorded.end, isInterrupted: false }
        : await readItem(this.#job, item, recorded, (entry, share) => {
            progress.update(item, share);
            return target.add(entry);
          });
    const { isInterrupted, ...written } = end;
    await record?.close(isInterrupted || recorded.end !== null ? null : written);
    progress.done(item);
    // Results of the next item wait in its record for their turn; without one it begins when these are written.
    if (record !== null) this.#onRead();
    await writing;
    const isTurn = await turn;
    this.isComplete = isTurn && !isInterrupted;
    const isWorthKeeping = end.error === null || this.#results.hasFrames;
    await this.#results.close(this.isComplete && isWorthKeeping);
    return end;
  }

  /** @returns null if results go to the outputs at once. */
  async #openRecord(): Promise<FrameRecord | null> {
    const { runtime, flags, onFailure, resume } = this.#job;
    const { order, kind } = this.#item;
    if (resume === null) return null;
    const every = kind === 'pictures' ? 1 : flags.every;
    const options = { path: resume.recordPath(order), classes: runtime.spec.classes, every, onFailure };
    return FrameRecord.open(options, (recorded) => this.#isOfUse(recorded));
  }

  /** Writes the outputs from a record, once it is their turn. Never rejects. */
  async #write(record: FrameRecord, turn: Promise<boolean>): Promise<void> {
    try {
      if (!(await turn)) return;
      await this.#results.open();
      for await (const entry of record.entries()) {
        const wait = this.#results.add(entry);
        if (wait !== null) await wait;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#job.outputs.fail(SightlineError.from(error, 'INTERNAL_ERROR'));
  }

  /** A file that could not be read to its end is tried again: the cause may be gone. */
  #isOfUse({ frames, end }: Recorded): boolean {
    const { outputs, io } = this.#job;
    const { kind, sources } = this.#item;
    const { label, whyWhole } = this.#results;
    const path = kind === 'pictures' ? null : outputs.videoPath(sources[0]!);
    if (end !== null) return end.error === null && (path === null || existsSync(path));
    if (frames > 0 && whyWhole !== null) note(io, `${label} starts again at its first frame: ${whyWhole}`);
    return whyWhole === null;
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
