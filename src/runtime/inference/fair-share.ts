import type { Clock } from '../../core/clock.ts';
import type { Batch } from './inference-client.ts';
import type { ModelInstance } from './model-instance.ts';

/** A batch that takes longer does not count as running: one detector that hangs must not stop the others. */
const LONG_MS = 1000;
/** Frames of each stream that a detector may be behind for having had none; more are not made up for. */
const MOST_BEHIND = 2;
/** When a detector that must wait looks again although no batch began or ended. */
const LOOK_MS = 20;

/** A detector with its streams. */
interface Sharer {
  readonly streams: ReadonlyMap<string, unknown>;
  readonly model: Pick<ModelInstance, 'isNamed' | 'pool' | 'callsInFlight' | 'freeThread' | 'batcher'>;
  /** Its loop. */
  run(): void;
}

/**
 * Divides the device among the detectors of a pipeline by the streams that use them: all together run as many batches as the
 * one with the most threads would alone, and the next batch is that of the one whose streams have had the fewest frames (start-time
 * fair queueing). Versions of one detector, as in a roll-out, are not held back.
 */
export class FairShare {
  readonly #schedulers: () => readonly Sharer[];
  readonly #clock: Clock;
  readonly #running = new Map<Batch, number>();
  /** Frames for each stream that a detector has had. */
  readonly #had = new WeakMap<Sharer, number>();
  /** What the detector of the newest batch had had before. */
  #newest = 0;
  readonly #held = new Set<Sharer>();
  #isWaking = false;
  #cancelLook: (() => void) | null = null;

  constructor(schedulers: () => readonly Sharer[], clock: Clock) {
    this.#schedulers = schedulers;
    this.#clock = clock;
  }

  /** Whether it is a detector's turn; if it is not, its loop runs again when it may be. */
  mayRun(scheduler: Sharer): boolean {
    const all = this.#schedulers();
    if (all.length === 1) return true;
    const sharers = all.filter(({ streams }) => streams.size > 0);
    if (sharers.length < 2 || !sharers.some(({ model }) => model.isNamed) || !sharers.includes(scheduler)) return true;
    const oldestMs = this.#clock.now() - LONG_MS;
    const running = [...this.#running.values()].filter((beganMs) => beganMs > oldestMs).length;
    const most = Math.max(...sharers.map(({ model }) => model.pool.threadCount * model.callsInFlight));
    const had = this.#hadBy(scheduler);
    const isBefore = (other: Sharer): boolean =>
      this.#hadBy(other) < had && other.model.batcher.waitingInputs > 0 && other.model.freeThread() !== null;
    if (running < most && !sharers.some(isBefore)) return true;
    this.#held.add(scheduler);
    this.#cancelLook ??= this.#clock.setTimer(() => this.#wake(), LOOK_MS);
    return false;
  }

  began(scheduler: Sharer, batch: Batch): void {
    const had = this.#hadBy(scheduler);
    this.#newest = had;
    this.#had.set(scheduler, had + batch.frames.length / Math.max(1, scheduler.streams.size));
    this.#running.set(batch, this.#clock.now());
    this.#wakeSoon();
  }

  ended(batch: Batch): void {
    this.#running.delete(batch);
    this.#wakeSoon();
  }

  #hadBy(scheduler: Sharer): number {
    return Math.max(this.#had.get(scheduler) ?? 0, this.#newest - MOST_BEHIND);
  }

  /** Not within the loop of another detector. */
  #wakeSoon(): void {
    if (this.#held.size === 0 || this.#isWaking) return;
    this.#isWaking = true;
    queueMicrotask(() => this.#wake());
  }

  #wake(): void {
    this.#isWaking = false;
    this.#cancelLook?.();
    this.#cancelLook = null;
    const held = [...this.#held].sort((a, b) => this.#hadBy(a) - this.#hadBy(b));
    this.#held.clear();
    for (const scheduler of held) scheduler.run();
  }
}
