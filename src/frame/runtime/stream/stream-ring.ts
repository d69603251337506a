import { isDeepStrictEqual } from 'node:util';
import { SlotRing, type SlotRingShape } from '../../../base/flow/slot-ring.ts';
import type { LanePreview, LaneTuning, RingHandle } from '../../../wire/protocol/threads.ts';
import type { LaneClient } from '../lane/lane-client.ts';
import type { FrameRing } from './in-flight-frame.ts';

let nextRingId = 1;

/** The main thread's side of the ring of one connection of a stream to a lane. */
export class StreamRing implements FrameRing {
  readonly ringId = nextRingId++;
  readonly slots: SlotRing;
  readonly lane: LaneClient;
  /** Frames that the lane reported as handed over or dropped. */
  received = 0;
  /** True once the lane has handed over a frame. */
  hasDelivered = false;
  #held = 0;
  #keepRatio = 1;
  #tunings = 0;
  /** Previews that were taken with fewer tunings show what is hidden now. */
  #shownFrom = 0;
  #isRetired = false;
  #isLaneGone = false;
  readonly #refillAt: number;
  readonly #onRetired: (ring: StreamRing) => void;

  /**
   * @param refillAt - a lane that waits for a slot is woken once at most this many frames are in flight. Waking it for
   * each slot makes ffmpeg decode one frame at a time with cold caches; decoding many at once costs 1.6 instead of 2.0
   * ms a frame beside CenterNet on two cores, 3 % of the total.
   * @param onRetired - called once, when `retire` was called and no frame of this ring is in flight.
   */
  constructor(shape: SlotRingShape, lane: LaneClient, refillAt: number, onRetired: (ring: StreamRing) => void) {
    this.slots = SlotRing.create(shape);
    this.lane = lane;
    this.#refillAt = refillAt;
    this.#onRetired = onRetired;
  }

  get handle(): RingHandle {
    return { ringId: this.ringId, buffer: this.slots.buffer, shape: this.slots.shape };
  }

  /** Frames that the lane completed and never reported. The counter in the ring wraps at 2^31. */
  get lostCount(): number {
    return Math.max(0, (this.slots.completedCount - this.received) | 0);
  }

  /** Slots that are held although no in-flight frame uses them. Valid once the lane has closed. */
  get leakedCount(): number {
    return this.slots.heldCount - this.#held;
  }

  get keepRatio(): number {
    return this.#keepRatio;
  }

  set keepRatio(keepRatio: number) {
    if (keepRatio === this.#keepRatio) return;
    this.#keepRatio = keepRatio;
    this.lane.shed(this.ringId, keepRatio);
  }

  /** Changes how the lane reads, if that is another way than before. */
  tune(before: LaneTuning, tuning: LaneTuning): void {
    if (isDeepStrictEqual(before, tuning)) return;
    this.lane.tune(this.ringId, tuning);
    this.#tunings += 1;
    if (!isDeepStrictEqual(before.masks, tuning.masks)) this.#shownFrom = this.#tunings;
  }

  mayShow({ tunings }: Pick<LanePreview, 'tunings'>): boolean {
    return tunings >= this.#shownFrom;
  }

  onEntered(): void {
    this.received += 1;
    this.hasDelivered = true;
    this.#held += 1;
  }

  onReleased(): void {
    this.#held -= 1;
    if (this.#held <= this.#refillAt && this.slots.takeWaiting()) this.lane.slotFree(this.ringId);
    if (this.#isRetired && this.#held === 0) this.#end();
  }

  /**
   * @param isLaneGone - the lane did not close the ring, so pending work of its thread may still write into the slots.
   */
  retire(isLaneGone = false): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#isLaneGone = isLaneGone;
    if (this.#held === 0) this.#end();
  }

  #end(): void {
    this.#onRetired(this);
    if (!this.#isLaneGone) this.slots.recycle();
  }
}
