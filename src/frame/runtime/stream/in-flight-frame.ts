import type { DropReason, ResultOrigin } from '../../../base/core/frame.ts';
import type { MonoMs } from '../../../base/core/units.ts';
import type { SlotMeta, SlotRing } from '../../../base/flow/slot-ring.ts';
import type { Crop } from '../../../wire/protocol/threads.ts';
import type { TracedBatch, TracedFrame } from '../../telemetry/frame-tracer.ts';

/** The ring that holds a frame. */
export interface FrameRing {
  readonly ringId: number;
  readonly slots: SlotRing;
  /** Share of the frames of this connection that is not shed, above 0 up to 1. */
  keepRatio: number;
  /** Call when the frame of a slot enters the ledger. */
  onEntered(): void;
  /** Call after a slot was released; notifies the lane if it waits for one. */
  onReleased(): void;
}

/** The stream of a frame, which completes, drops or retries it. */
export interface FrameOwner {
  /** True if a frame whose inference failed is tried again while the stream is served, since the stream may lose nothing. */
  readonly retriesFrames: boolean;
  /** @param rows - `[n, 6]` f32, final boxes in source pixels. */
  complete(frame: InFlightFrame, rows: Float32Array, inferredMs: MonoMs): void;
  drop(frame: InFlightFrame, reason: DropReason): void;
}

/** What a second stage found in a part of a frame. */
export interface CropReading {
  /** Name of the second stage. */
  readonly stage: string;
  readonly crop: Crop;
  /** As the decoder of its model packs them. */
  readonly rows: Float32Array;
}

/** A frame between its arrival from the lane and its publication or drop. */
export interface InFlightFrame extends TracedFrame {
  readonly owner: FrameOwner;
  readonly ring: FrameRing;
  readonly slot: number;
  readonly meta: SlotMeta;
  readonly capturedMs: MonoMs;
  /** When it entered the queue of its stream. */
  queuedMs: number;
  /** Number of failed inferences of this frame. */
  failures: number;
  status: 'waiting' | 'done' | 'dropped';
  batchedMs: MonoMs;
  inferredMs: MonoMs;
  /** The newest one that it was in. */
  batch: TracedBatch | null;
  rows: Float32Array | null;
  /** How it gets its result. */
  by: ResultOrigin;
  /**
   * The frame whose result this unchanged frame repeats; the frame itself if the earlier one was dropped, so that there is
   * no result to repeat; null if it has a result of its own.
   */
  repeats: InFlightFrame | null;
  /** What its result names as its detector, once it is in a batch; null if that is the pipeline's own. */
  model: string | null;
  /** Its rows are those of an equal picture. */
  isCached: boolean;
  /** The part of it that a second stage looks at; absent: it is a frame. */
  readonly crop?: Crop;
  /** What second stages found in it, in any order; only of a file. */
  readings?: CropReading[];
  /** Users of its slot, which is released with the last one. Shared with the frame's shadow and crops. */
  readonly slotUsers: { count: number };
}

/** Keeps the slot of a frame for one more user. */
export function holdFrame({ slotUsers }: InFlightFrame): void {
  slotUsers.count += 1;
}

/** Ends one use of a frame's slot. */
export function releaseFrame({ ring, slot, slotUsers }: InFlightFrame): void {
  slotUsers.count -= 1;
  if (slotUsers.count > 0) return;
  ring.slots.release(slot);
  ring.onReleased();
}
