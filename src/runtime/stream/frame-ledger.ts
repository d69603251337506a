import { type Detection, unpackDetections } from '../../core/detection.ts';
import type { DropReason, FrameTimes, PublishedFrame, ResultOrigin } from '../../core/frame.ts';
import type { MonoMs } from '../../core/units.ts';
import type { SlotMeta, SlotRing } from '../../flow/slot-ring.ts';
import type { StreamTelemetry } from '../../telemetry/stream-telemetry.ts';

/** Time of a stage that a frame has not reached. */
const NOT_YET = 0 as MonoMs;

const NO_ROWS = new Float32Array(0);

/** The ring that holds a frame. */
export interface FrameRing {
  readonly ringId: number;
  readonly slots: SlotRing;
  /** Call after a slot was released; notifies the lane if it waits for one. */
  onReleased(): void;
}

/** The stream of a frame, which completes, drops or retries it. */
export interface FrameOwner {
  /** True if a frame whose inference failed is retried: the stream may lose nothing and is still served. */
  readonly retriesFrames: boolean;
  /** @param rows - `[n, 6]` f32, final boxes in source pixels. */
  complete(frame: InFlightFrame, rows: Float32Array, inferredMs: MonoMs): void;
  drop(frame: InFlightFrame, reason: DropReason): void;
}

/** A frame between its arrival from the lane and its publication or drop. */
export interface InFlightFrame {
  readonly streamId: string;
  readonly owner: FrameOwner;
  readonly ring: FrameRing;
  readonly slot: number;
  readonly meta: SlotMeta;
  readonly capturedMs: MonoMs;
  /** Number of failed inferences of this frame. */
  failures: number;
  status: 'waiting' | 'done' | 'dropped';
  batchedMs: MonoMs;
  inferredMs: MonoMs;
  rows: Float32Array | null;
  /** How it gets its result. */
  by: ResultOrigin;
  /**
   * The earlier frame whose result an unchanged frame repeats; itself if that frame was dropped, so that there is nothing
   * to repeat. Null for other frames.
   */
  repeats: InFlightFrame | null;
  /** Its rows are those of an equal picture. */
  isCached: boolean;
  /** Users of its slot, which is released with the last one. Shared with the frame's shadow. */
  readonly slotUsers: { count: number };
}

export interface LedgerPort {
  readonly retriesFrames: boolean;
  /** The lease under which results are published; null if there is none. */
  readonly lease: { readonly fence: number; isValid(): boolean } | null;
  /** Called for a dropped frame that was to be inferred. */
  onDropped(frame: InFlightFrame): void;
  /** Runs tracker and counters on the boxes. Called once per published frame, in order. A tracked frame has no boxes. */
  analyse(frame: InFlightFrame, detections: Detection[]): readonly Detection[];
  /** Passes a result to the sinks. The slot is released when the returned promise settles, or at once if it is null. */
  publish(result: PublishedFrame, frame: InFlightFrame): Promise<unknown> | null;
}

/**
 * The in-flight frames of one stream, in order of arrival. Inference threads finish in any order; results are published
 * in order of arrival. Every frame that enters leaves exactly once, published or dropped.
 */
export class FrameLedger implements FrameOwner {
  readonly #streamId: string;
  readonly #classes: readonly string[];
  readonly #telemetry: StreamTelemetry;
  readonly #port: LedgerPort;
  readonly #now: () => MonoMs;
  /** In the order of arrival. */
  readonly #frames: InFlightFrame[] = [];
  #inFlight = 0;
  #droppedMs = 0;
  #onEmpty: (() => void)[] = [];

  constructor(
    streamId: string,
    classes: readonly string[],
    telemetry: StreamTelemetry,
    port: LedgerPort,
    now: () => MonoMs,
  ) {
    this.#streamId = streamId;
    this.#classes = classes;
    this.#telemetry = telemetry;
    this.#port = port;
    this.#now = now;
  }

  /** Frames that entered and are neither published nor dropped. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Sum over all dropped frames of the time from decoded to dropped, in milliseconds. */
  get droppedMs(): number {
    return this.#droppedMs;
  }

  /** Sum over the frames in flight of the time since they were decoded, in milliseconds. */
  pendingMs(nowMs: number): number {
    let sum = 0;
    for (const { status, meta } of this.#frames) if (status !== 'dropped') sum += nowMs - meta.decoded;
    return sum;
  }

  get retriesFrames(): boolean {
    return this.#port.retriesFrames;
  }

  enter(ring: FrameRing, slot: number): InFlightFrame {
    const meta = ring.slots.readMeta(slot);
    const frame: InFlightFrame = {
      streamId: this.#streamId,
      owner: this,
      ring,
      slot,
      meta,
      capturedMs: meta.captured,
      failures: 0,
      status: 'waiting',
      batchedMs: NOT_YET,
      inferredMs: NOT_YET,
      rows: null,
      by: 'inferred',
      repeats: null,
      isCached: false,
      slotUsers: { count: 1 },
    };
    this.#frames.push(frame);
    this.#inFlight += 1;
    this.#telemetry.onIn(this.#now());
    return frame;
  }

  /** Counts frames that entered and were lost before the lane handed them over. */
  enterLost(count: number, reason: DropReason): void {
    for (let i = 0; i < count; i++) this.#telemetry.onIn(this.#now());
    this.#telemetry.onDropped(reason, count);
  }

  drop(frame: InFlightFrame, reason: DropReason): void {
    if (frame.status !== 'waiting') return;
    frame.status = 'dropped';
    this.#droppedMs += this.#now() - frame.meta.decoded;
    this.#telemetry.onDropped(reason);
    this.#leave();
    releaseFrame(frame);
    this.#port.onDropped(frame);
    this.#flush();
  }

  /** Completes frames that need no inference, in order of arrival. */
  completeSkipped(frames: readonly InFlightFrame[]): void {
    for (const frame of frames) frame.status = 'done';
    this.#flush();
  }

  complete(frame: InFlightFrame, rows: Float32Array, inferredMs: MonoMs): void {
    if (frame.status !== 'waiting') return;
    frame.status = 'done';
    frame.rows = rows;
    frame.inferredMs = inferredMs;
    if (frame.isCached) this.#telemetry.onCached();
    else this.#telemetry.onInferred(inferredMs);
    this.#flush();
  }

  /** Resolves when no frame is in flight. */
  empty(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty.push(resolve));
  }

  #leave(): void {
    this.#inFlight -= 1;
    if (this.#inFlight > 0) return;
    const waiting = this.#onEmpty;
    this.#onEmpty = [];
    for (const resolve of waiting) resolve();
  }

  #flush(): void {
    while (this.#frames.length > 0 && this.#frames[0]!.status !== 'waiting') {
      const frame = this.#frames.shift()!;
      if (frame.status !== 'done') continue;
      // Another host may publish this stream by now, so a late result is dropped.
      if (this.#port.lease?.isValid() === false) this.#discard(frame, 'lease-lost');
      else if (frame.repeats !== null && frame.repeats.rows === null) this.#discard(frame, 'reference-lost');
      else this.#publish(frame);
    }
  }

  #discard(frame: InFlightFrame, reason: DropReason): void {
    this.#telemetry.onDropped(reason);
    this.#droppedMs += this.#now() - frame.meta.decoded;
    this.#leave();
    releaseFrame(frame);
  }

  #publish(inFlight: InFlightFrame): void {
    const { meta, by, repeats } = inFlight;
    const rows = (repeats ?? inFlight).rows ?? NO_ROWS;
    const detections = this.#port.analyse(inFlight, unpackDetections(rows, this.#classes));
    // A frame that was not inferred waits only for earlier frames.
    const batched = by === 'inferred' ? inFlight.batchedMs : meta.preprocessed;
    const times: FrameTimes = {
      captured: meta.captured,
      decoded: meta.decoded,
      preprocessed: meta.preprocessed,
      batched,
      inferred: by === 'inferred' ? inFlight.inferredMs : batched,
      published: this.#now(),
    };
    const result: PublishedFrame = {
      streamId: this.#streamId,
      frame: meta.frame,
      ptsUs: meta.ptsUs,
      width: meta.width,
      height: meta.height,
      by,
      detections,
      times,
      ...(this.#port.lease === null ? {} : { fence: this.#port.lease.fence }),
    };
    // Count before listeners are called, so that they see consistent figures.
    this.#telemetry.onPublished(times, by);
    this.#leave();
    const busy = this.#port.publish(result, inFlight);
    if (busy === null) releaseFrame(inFlight);
    else busy.finally(() => releaseFrame(inFlight));
  }
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
