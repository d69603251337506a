import type { DropReason, FrameTimes, ResultOrigin } from '../../base/core/frame.ts';
import type { MonoMs } from '../../base/core/units.ts';
import type { TraceIds, TraceParent } from '../../base/flow/trace-context.ts';

/** A batch, as its frames know it. */
export interface TracedBatch {
  readonly frames: { readonly length: number };
  /** Model inputs of all frames. */
  readonly inputs: number;
  /** Name of the model instance. */
  readonly model: string;
  /** When it was closed. */
  readonly closedMs: number;
  /** Null until the thread has returned it. */
  ran: { readonly beganMs: number; readonly endedMs: number; readonly postprocessMs: number } | null;
}

/** A frame that is published or dropped. A time is 0 if it has not come to that. */
export interface TracedFrame {
  readonly streamId: string;
  readonly meta: {
    readonly frame: number;
    readonly ptsUs: number;
    readonly captured: MonoMs;
    readonly decoded: MonoMs;
    readonly preprocessed: MonoMs;
  };
  readonly batchedMs: MonoMs;
  readonly inferredMs: MonoMs;
  readonly by: ResultOrigin;
  /** Null if it was in none. */
  readonly batch: TracedBatch | null;
}

/** Follows frames through the pipeline. There is none unless tracing is set: a frame then costs one comparison. */
export interface FrameTracer {
  /**
   * @param targetMs - of its latency; a frame that takes longer is always traced.
   * @param parent - of a picture that a program pushed.
   * @returns its span; null if it is not traced.
   */
  published(
    frame: TracedFrame,
    times: Readonly<FrameTimes>,
    targetMs: number | undefined,
    parent: TraceParent | undefined,
  ): TraceIds | null;
  dropped(frame: TracedFrame, reason: DropReason, nowMs: MonoMs, parent: TraceParent | undefined): void;
  /** Frames that were dropped before they came to the main thread, so that nothing else is known of them. */
  lost(streamId: string, count: number, reason: DropReason, nowMs: MonoMs): void;
}
