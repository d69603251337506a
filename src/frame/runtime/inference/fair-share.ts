import type { Clock } from '../../../base/core/clock.ts';
import { GUEST_EVERY } from '../../batch/micro-batcher.ts';
import type { Batch } from './inference-client.ts';
import type { ModelInstance } from './model-instance.ts';

/** A batch that takes longer does not count as running: one detector that hangs must not stop the others. */
const LONG_MS = 1000;
/** Frames of each stream that a detector may be behind for having had none; more are not made up for. */
const MOST_BEHIND = 2;
/**
 * Share of the inference time that second stages together get while frames wait. With none, objects of a busy camera would never be looked
 * at; what they get the frames lose.
 */
export const STAGE_RATIO = 0.2;
/** Inference time that the share is of; what is older counts half. */
const SHARED_MS = 2000;

/** When a detector that must wait looks again although no batch began or ended. */
const LOOK_MS = 20;

/** A detector with its streams. */
interface Sharer {
  readonly streams: ReadonlyMap<
    string,
    { readonly policy: { readonly hasFloor?: boolean; readonly isGuest?: boolean } }
  >;
  readonly model: Pick<
    ModelInstance,
    'isNamed' | 'readsCrops' | 'servesLive' | 'pool' | 'callsInFlight' | 'freeThread' | 'batcher'
  >;
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
 * frames of all others, whichever detector these use, and take no turns from them; of batches of files, a request gets one in `GUEST_EVERY`.
 *
 * Second stages run while no frame of a detector with live streams waits, and else for `STAGE_RATIO` of the time at most. Frames of files
 * wait for their own crops: if those waited for the next frames, the file would fill its ring, and then one thread would work alone.
 */
export class FairShare {
  readonly #schedulers: () => readonly Sharer[];
  readonly #clock: Clock;
  readonly #running = new Map<Batch, Running>();
  readonly #urgent = new Turns(true);
  readonly #others = new Turns(false);
  /** Of late: time of batches of frames, and of crops. */
  readonly #usedMs = { frames: 0, crops: 0 };
  readonly #held = new Set<Sharer>();
  /** Batches of other detectors in a row while a request waited, and no live stream. */
  #withoutGuest = 0;
  #isWaking = false;
  #cancelLook: (() => void) | null = null;

  constructor(schedulers: () => readonly Sharer[], clock: Clock) {
    this.#schedulers = schedulers;
    this.#clock = clock;
  }

  /** Whether it is a detector's turn; if it is not, its loop runs again when it may be. */
  mayRun(scheduler: Sharer): boolean {
    const every = this.#schedulers();
    if (every.length === 1) return true;
    const all = every.filter(({ model }) => !model.readsCrops);
    if (scheduler.model.readsCrops) return this.#mayReadCrops(all) || this.#hold(scheduler);
    const sharers = all.filter(({ streams }) => streams.size > 0);
    if (sharers.length < 2 || !sharers.includes(scheduler) || this.#isTurnOf(scheduler, sharers)) return true;
    return this.#hold(scheduler);
  }

  /** @param detectors - of frames. */
  #mayReadCrops(detectors: readonly Sharer[]): boolean {
    const isAnyWaiting = detectors.some(
      ({ streams, model }) =>
        streams.size > 0 && model.servesLive && (model.batcher.waitingInputs > 0 || model.freeThread() === null),
    );
    const { frames, crops } = this.#usedMs;
    return !isAnyWaiting || (!this.#isReadingCrops && crops <= STAGE_RATIO * (frames + crops));
  }

  get #isReadingCrops(): boolean {
    for (const { by } of this.#running.values()) if (by.model.readsCrops) return true;
    return false;
  }

  #hold(scheduler: Sharer): false {
    this.#held.add(scheduler);
    this.#cancelLook ??= this.#clock.setTimer(() => this.#wake(), LOOK_MS);
    return false;
  }

  #isTurnOf(scheduler: Sharer, sharers: readonly Sharer[]): boolean {
    const oldestMs = this.#clock.now() - LONG_MS;
    const running = [...this.#running.values()].filter(({ beganMs, by }) => beganMs > oldestMs && !by.model.readsCrops);
    const isUrgent = scheduler.model.batcher.hasUrgent;
    // One that hangs is not waited for.
    const goesOn = (other: Sharer): boolean =>
      other.model.freeThread() !== null || running.some(({ by }) => by === other);
    const isGuestTurn = this.#isGuestTurn(sharers);
    const mayBeGuest = isGuestTurn && scheduler.model.batcher.hasGuest;
    if (!isUrgent && !mayBeGuest && sharers.some((other) => other.model.batcher.hasUrgent && goesOn(other)))
      return false;
    if (!sharers.some(({ model }) => model.isNamed)) return true;
    const most = Math.max(...sharers.map(({ model }) => model.pool.threadCount * model.callsInFlight));
    if (isGuestTurn) return mayBeGuest && running.length < most;
    const turns = isUrgent ? this.#urgent : this.#others;
    const had = turns.hadBy(scheduler);
    const isBefore = (other: Sharer): boolean =>
      turns.hadBy(other) < had &&
      (isUrgent ? other.model.batcher.hasUrgent : other.model.batcher.waitingInputs > 0) &&
      other.model.freeThread() !== null;
    return running.length < most && !sharers.some(isBefore);
  }

  began(scheduler: Sharer, batch: Batch): void {
    if (!scheduler.model.readsCrops) {
      this.#urgent.count(scheduler, batch);
      this.#others.count(scheduler, batch);
      this.#countGuests(scheduler, batch);
    }
    this.#running.set(batch, { by: scheduler, beganMs: this.#clock.now() });
    this.#wakeSoon();
  }

  /** Whether the next batch is that of a detector whose requests wait behind the files of others. */
  #isGuestTurn(sharers: readonly Sharer[]): boolean {
    return (
      this.#withoutGuest >= GUEST_EVERY - 1 &&
      sharers.some(({ model }) => model.batcher.hasGuest && model.freeThread() !== null) &&
      !sharers.some(({ model }) => model.batcher.hasLive)
    );
  }

  #countGuests(scheduler: Sharer, { frames }: Batch): void {
    const isOfGuest = frames.some(({ streamId }) => scheduler.streams.get(streamId)?.policy.isGuest === true);
    const every = this.#schedulers();
    const isWaiting = every.some((other) => other !== scheduler && other.model.batcher.hasGuest);
    if (isOfGuest || !isWaiting) this.#withoutGuest = 0;
    else if (!every.some(({ model }) => model.batcher.hasLive)) this.#withoutGuest += 1;
  }

  ended(batch: Batch): void {
    const began = this.#running.get(batch);
    this.#running.delete(batch);
    if (began !== undefined)
      this.#use(began.by.model.readsCrops ? 'crops' : 'frames', this.#clock.now() - began.beganMs);
    this.#wakeSoon();
  }

  #use(what: 'frames' | 'crops', ms: number): void {
    const used = this.#usedMs;
    used[what] += ms;
    if (used.frames + used.crops <= SHARED_MS) return;
    used.frames /= 2;
    used.crops /= 2;
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
