import { BatchSizer } from '../batch/batch-sizer.ts';
import { MicroBatcher } from '../batch/micro-batcher.ts';
import type { Clock } from '../core/clock.ts';
import type { SightlineError } from '../errors/sightline-error.ts';
import type { BatchReport } from '../protocol/report.ts';
import type { EngineInfo, EngineRequest, FromInference } from '../protocol/threads.ts';
import { EnginePool } from './engine-pool.ts';
import type { FrameRecord } from './frame-ledger.ts';
import type { ClosedBatch } from './inference-client.ts';

export interface DispatcherPort {
  /** Offers the frames that files have ready. Called before each look at what waits. */
  collect(): void;
  /** The same; and from now on each frame of a file is told of, until the next one came. @returns whether there were any. */
  listen(): boolean;
  onDropped(record: FrameRecord, reason: 'queue-full' | 'stale' | 'engine-failed'): void;
  onInferred(record: FrameRecord, rows: Float32Array, endedMs: number): void;
  /** Is this frame's stream one that may lose nothing? Then a failed inference is tried again. */
  mayRetry(record: FrameRecord): boolean;
  onBusy(inferMs: number): void;
  /** An inference failed, on a thread that may live on. Called for each batch. */
  onBatchFailed(error: SightlineError): void;
  onThreadLost(error: SightlineError): void;
  onThreadRestarted(): void;
  onSettled(reason: string): void;
}

/** A frame whose inference fails this often is given up: it is the frame, not the thread. */
const MAX_FAILURES = 3;
/** Batches that may be on one thread while only files are read. */
const FILE_DEPTH = 2;
/**
 * Frames of files that one message hands over where the device gains little from batches: their calls follow each other, and
 * the main thread is woken once for all. On two cores this and a ring to match gave 3 % more frames of YOLOX-nano.
 */
export const HAND_OVER_FRAMES = 4;
/** Not more of them than are done in this time, so that no thread is left without work at the end of a file. */
const HAND_OVER_MS = 50;

/**
 * Brings frames and inference threads together. One batch runs on each thread; where only files are read, or the engine
 * takes the next batch while it computes one, a second already waits there, so that the device never idles between two.
 * Other engines' live streams rather keep the frame in the queue, where a newer one can still take its place.
 */
export class Dispatcher {
  readonly batcher: MicroBatcher<FrameRecord>;
  readonly pool: EnginePool;
  readonly #port: DispatcherPort;
  readonly #clock: Clock;
  readonly #maxBatch: number;
  readonly #histogram = new Map<number, number>();
  #sizer: BatchSizer | null = null;
  #cancelTimer: (() => void) | null = null;
  #isPumping = false;
  /** The lowest score that any stream needs. */
  scoreThreshold = 0;
  /** Batches that the engine takes at once. */
  callsInFlight = 1;
  /** Beside a live stream nothing of a file may already wait on a thread: it would make the newest frame wait. */
  servesLive = true;

  constructor(
    request: EngineRequest,
    options: { maxBatch: number; maxDelayMs: number; timeoutMs: number },
    port: DispatcherPort,
    clock: Clock,
  ) {
    this.#port = port;
    this.#clock = clock;
    this.#maxBatch = options.maxBatch;
    this.batcher = new MicroBatcher(options, (record, reason) => port.onDropped(record, reason));
    this.pool = new EnginePool(
      request,
      {
        onResult: (batch, result) => this.#onResult(batch, result),
        onFailed: (batch, error, wasRunning) => this.#onFailed(batch, error, wasRunning),
        onThreadLost: (error) => port.onThreadLost(error),
        onThreadRestarted: () => {
          port.onThreadRestarted();
          this.pump();
        },
      },
      options.timeoutMs,
    );
  }

  /** @throws ENGINE_UNAVAILABLE */
  async start(threads: number): Promise<EngineInfo> {
    const info = await this.pool.start(threads);
    this.callsInFlight = info.callsInFlight;
    this.#sizer = new BatchSizer(info.batchSizes, info.warmMs, this.#maxBatch);
    return info;
  }

  offer(record: FrameRecord): void {
    this.batcher.offer(record.streamId, record, this.#clock.now());
    this.pump();
  }

  /**
   * Fills every idle thread, as far as there are frames. While all are busy, nobody needs to hear of each frame of a file:
   * those that came are collected at the end of a batch.
   */
  pump(): void {
    if (this.#isPumping || this.#sizer === null) return;
    this.#isPumping = true;
    try {
      do this.#port.collect();
      while (this.#fill(this.#sizer) && this.#port.listen());
    } finally {
      this.#isPumping = false;
    }
  }

  /** @returns whether a thread is left that could do more. */
  #fill(sizer: BatchSizer): boolean {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    for (;;) {
      const client = this.pool.idle(Math.max(this.servesLive ? 1 : FILE_DEPTH, this.callsInFlight));
      if (client === null) return false;
      const now = this.#clock.now();
      const size = sizer.nextSize(this.batcher.waitingCount);
      const next = this.batcher.next(now, size * this.#callsAtOnce(sizer, size), sizer.singleCallMs);
      if (next.kind === 'wait') {
        this.#cancelTimer = this.#clock.setTimer(() => this.pump(), Math.max(0, next.untilMs - now));
        return true;
      }
      if (next.kind === 'empty') return true;
      for (const record of next.items) record.batchedMs = now;
      // A frame that has failed goes alone, so that it takes no other with it.
      const isSuspect = next.items.some(({ failures }) => failures > 0);
      for (const records of isSuspect ? next.items.map((record) => [record]) : [next.items]) {
        const callSize = sizer.padTo(Math.min(size, records.length));
        this.#count(records.length, callSize);
        client.submit({ records, callSize, scoreThreshold: this.scoreThreshold }, now);
      }
    }
  }

  /** Calls of `size` frames that one message asks for; 1 where that is all that waits. */
  #callsAtOnce(sizer: BatchSizer, size: number): number {
    if (this.servesLive || !sizer.isSettled) return 1;
    const most = Math.min(HAND_OVER_FRAMES / size, HAND_OVER_MS / (size * sizer.singleCallMs));
    return Math.max(1, Math.floor(Math.min(most, this.batcher.waitingCount / size)));
  }

  #count(frames: number, callSize: number): void {
    for (let left = frames; left > 0; left -= callSize) {
      const inCall = Math.min(left, callSize);
      this.#histogram.set(inCall, (this.#histogram.get(inCall) ?? 0) + 1);
    }
  }

  #onResult(batch: ClosedBatch, result: Extract<FromInference, { type: 'result' }>): void {
    this.#port.onBusy(result.busyMs);
    const callMs = result.busyMs / Math.ceil(batch.records.length / batch.callSize);
    if (this.#sizer!.observe(batch.callSize, callMs)) this.#port.onSettled(this.#sizer!.reason);
    // The thread is free: give it work before spending time on its results.
    this.pump();
    let at = 0;
    batch.records.forEach((record, i) => {
      const end = at + result.counts[i]! * 6;
      this.#port.onInferred(record, result.rows.subarray(at, end), result.endedMs);
      at = end;
    });
  }

  #onFailed(batch: ClosedBatch, error: SightlineError, wasRunning: boolean): void {
    this.#port.onBatchFailed(error);
    // From the last to the first, each put before the others.
    for (const record of batch.records.toReversed()) {
      if (wasRunning) record.failures += 1;
      const isWorthIt = this.#port.mayRetry(record) && record.failures < MAX_FAILURES && record.status === 'waiting';
      if (isWorthIt) this.batcher.putBack(record.streamId, record, this.#clock.now());
      else this.#port.onDropped(record, 'engine-failed');
    }
    this.pump();
  }

  get isReady(): boolean {
    return this.#sizer !== null && this.pool.threadCount > 0;
  }

  get maxWarmedSize(): number {
    return this.#sizer?.maxBatch ?? 1;
  }

  get settledSize(): number {
    return this.#sizer?.settledSize ?? 1;
  }

  report(): BatchReport {
    return {
      histogram: Object.fromEntries(this.#histogram),
      maxBatch: this.#maxBatch,
      settledSize: this.#sizer?.settledSize ?? null,
      reason: this.#sizer?.reason ?? 'the engine is still loading',
    };
  }

  async shutdown(): Promise<void> {
    this.#cancelTimer?.();
    await this.pool.shutdown();
  }
}
