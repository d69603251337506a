import { type Detection, unpackDetections } from '../core/detection.ts';
import type { DropReason, FrameTimes, PublishedFrame } from '../core/frame.ts';
import type { MonoMs, PtsUs } from '../core/units.ts';
import type { SlotMeta, SlotRing } from '../flow/slot-ring.ts';
import type { StreamTelemetry } from '../telemetry/stream-telemetry.ts';

/** One open connection of a stream to its lane: a ring and who else must hear of it. */
export interface RingSession {
  readonly ringId: number;
  readonly ring: SlotRing;
  /** Tells the lane that a slot is free again, if it waits. */
  onReleased(): void;
}

/** A frame between its arrival from the lane and its end. */
export interface FrameRecord {
  readonly streamId: string;
  readonly session: RingSession;
  readonly slot: number;
  readonly meta: SlotMeta;
  readonly capturedMs: number;
  /** Times that an inference thread failed under it. */
  failures: number;
  status: 'waiting' | 'done' | 'dropped';
  batchedMs: number;
  inferredMs: number;
  rows: Float32Array | null;
}

export interface LedgerPort {
  /** The lease that results are published under; null where there is none. */
  readonly lease: { readonly fence: number; isValid(): boolean } | null;
  /** Turns boxes into the final result: tracker and counters. Called once for each published frame, in order. */
  analyse(record: FrameRecord, detections: Detection[]): readonly Detection[];
  /** Hands a result to the sinks. The slot is released when the returned promise settles, at once where it is null. */
  publish(frame: PublishedFrame, record: FrameRecord): Promise<unknown> | null;
}

/**
 * The frames of one stream that are on their way, in the order in which they came. Inference threads finish in any order;
 * results leave in the order of arrival. Every frame that enters leaves once, published or dropped.
 */
export class FrameLedger {
  readonly #streamId: string;
  readonly #classes: readonly string[];
  readonly #telemetry: StreamTelemetry;
  readonly #port: LedgerPort;
  readonly #now: () => MonoMs;
  readonly #records: FrameRecord[] = [];
  #inFlight = 0;
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

  enter(session: RingSession, slot: number): FrameRecord {
    const meta = session.ring.readMeta(slot);
    const record: FrameRecord = {
      streamId: this.#streamId,
      session,
      slot,
      meta,
      capturedMs: meta.captured,
      failures: 0,
      status: 'waiting',
      batchedMs: 0,
      inferredMs: 0,
      rows: null,
    };
    this.#records.push(record);
    this.#inFlight += 1;
    this.#telemetry.onIn(this.#now());
    return record;
  }

  /** Counts frames that entered and were lost before they could be handed to us. */
  enterLost(count: number, reason: DropReason): void {
    for (let i = 0; i < count; i++) this.#telemetry.onIn(this.#now());
    this.#telemetry.onDropped(reason, count);
  }

  drop(record: FrameRecord, reason: DropReason): void {
    if (record.status !== 'waiting') return;
    record.status = 'dropped';
    this.#telemetry.onDropped(reason);
    this.#leave();
    release(record);
    this.#flush();
  }

  complete(record: FrameRecord, rows: Float32Array, inferredMs: number): void {
    if (record.status !== 'waiting') return;
    record.status = 'done';
    record.rows = rows;
    record.inferredMs = inferredMs;
    this.#telemetry.onInferred(inferredMs);
    this.#flush();
  }

  /** Resolves when no frame is on its way. */
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
    while (this.#records.length > 0 && this.#records[0]!.status !== 'waiting') {
      const record = this.#records.shift()!;
      if (record.status !== 'done') continue;
      if (this.#port.lease?.isValid() === false) this.#discard(record);
      else this.#publish(record);
    }
  }

  /** Another host may publish this stream by now: a result that comes too late is nobody's. */
  #discard(record: FrameRecord): void {
    this.#telemetry.onDropped('lease-lost');
    this.#leave();
    release(record);
  }

  #publish(record: FrameRecord): void {
    const { meta } = record;
    const detections = this.#port.analyse(record, unpackDetections(record.rows!, this.#classes));
    const times: FrameTimes = {
      captured: meta.captured as MonoMs,
      decoded: meta.decoded as MonoMs,
      preprocessed: meta.preprocessed as MonoMs,
      batched: record.batchedMs as MonoMs,
      inferred: record.inferredMs as MonoMs,
      published: this.#now(),
    };
    const frame: PublishedFrame = {
      streamId: this.#streamId,
      frame: meta.frame,
      ptsUs: meta.ptsUs as PtsUs,
      width: meta.width,
      height: meta.height,
      detections,
      times,
      ...(this.#port.lease === null ? {} : { fence: this.#port.lease.fence }),
    };
    // Counted out before anybody hears of it, so that the figures agree inside a listener as well.
    this.#telemetry.onPublished(times);
    this.#leave();
    const busy = this.#port.publish(frame, record);
    if (busy === null) release(record);
    else busy.finally(() => release(record));
  }
}

function release(record: FrameRecord): void {
  record.session.ring.release(record.slot);
  record.session.onReleased();
}
