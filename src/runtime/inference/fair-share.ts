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
  readonly streams: ReadonlyMap<string, { readonly policy: { readonly hasFloor?: boolean } }>;
  readonly model: Pick<ModelInstance, 'isNamed' | 'pool' | 'callsInFlight' | 'freeThread' | 'batcher'>;
  /** Its loop. */
  run(): void;
}

interface Running {
  readonly by: Sharer;
  readonly beganMs: number;
}

/**
 * Divides the device among the detectors of a pipeline by the streams that use them: all together run as many batches as the
 * one with the most threads would alone, and the next batch is that of the one whose streams have had the fewest frames (start-time
 * fair queueing). Versions of one detector, as in a roll-out, are not held back. Requests and jobs, whose streams have no floor, wait for the
 * frames of all others, whichever detector these use, and take no turns from them.
 */
export class FairShare {
  readonly #schedulers: () => readonly Sharer[];
  readonly #clock: Clock;
  readonly #running = new Map<Batch, Running>();
  readonly #urgent = new Turns(true);
  readonly #others = new Turns(false);
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
    if (sharers.length < 2 || !sharers.includes(scheduler) || this.#isTurnOf(scheduler, sharers)) return true;
    this.#held.add(scheduler);
    this.#cancelLook ??= this.#clock.setTimer(() => this.#wake(), LOOK_MS);
    return false;
  }

  #isTurnOf(scheduler: Sharer, sharers: readonly Sharer[]): boolean {
    const oldestMs = this.#clock.now() - LONG_MS;
    const running = [...this.#running.values()].filter(({ beganMs }) => beganMs > oldestMs);
    const isUrgent = scheduler.model.batcher.hasUrgent;
    // One that hangs is not waited for.
    const goesOn = (other: Sharer): boolean =>
      other.model.freeThread() !== null || running.some(({ by }) => by === other);
    if (!isUrgent && sharers.some((other) => other.model.batcher.hasUrgent && goesOn(other))) return false;
    if (!sharers.some(({ model }) => model.isNamed)) return true;
    const most = Math.max(...sharers.map(({ model }) => model.pool.threadCount * model.callsInFlight));
    const turns = isUrgent ? this.#urgent : this.#others;
    const had = turns.hadBy(scheduler);
    const isBefore = (other: Sharer): boolean =>
      turns.hadBy(other) < had &&
      (isUrgent ? other.model.batcher.hasUrgent : other.model.batcher.waitingInputs > 0) &&
      other.model.freeThread() !== null;
    return running.length < most && !sharers.some(isBefore);
  }

  began(scheduler: Sharer, batch: Batch): void {
    this.#urgent.count(scheduler, batch);
    this.#others.count(scheduler, batch);
    this.#running.set(batch, { by: scheduler, beganMs: this.#clock.now() });
    this.#wakeSoon();
  }

  ended(batch: Batch): void {
    this.#running.delete(batch);
    this.#wakeSoon();
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
    const held = [...this.#held].sort((a, b) => this.#urgent.hadBy(a) - this.#urgent.hadBy(b));
    this.#held.clear();
    for (const scheduler of held) scheduler.run();
  }
}

/** How many frames for each stream the detectors have had, of the streams with a floor or of the others. */
class Turns {
  readonly #hasFloor: boolean;
  readonly #had = new WeakMap<Sharer, number>();
  /** What the detector of the newest batch had had before. */
  #newest = 0;

  constructor(hasFloor: boolean) {
    this.#hasFloor = hasFloor;
  }

  hadBy(scheduler: Sharer): number {
    return Math.max(this.#had.get(scheduler) ?? 0, this.#newest - MOST_BEHIND);
  }

  count(scheduler: Sharer, { frames }: Batch): void {
    const isOwn = (stream: string): boolean =>
      (scheduler.streams.get(stream)?.policy.hasFloor !== false) === this.#hasFloor;
    const counted = frames.filter(({ streamId }) => isOwn(streamId)).length;
    if (counted === 0) return;
    const streams = [...scheduler.streams.keys()].filter(isOwn).length;
    this.#newest = this.hadBy(scheduler);
    this.#had.set(scheduler, this.#newest + counted / Math.max(1, streams));
  }
}
