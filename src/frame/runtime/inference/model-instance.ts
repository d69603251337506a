import type { MonoMs } from '../../../base/core/units.ts';
import { inputsPerModel } from '../../../base/flow/slot-ring.ts';
import type { BatchReport } from '../../../wire/protocol/report.ts';
import type { EngineInfo, EngineRequest } from '../../../wire/protocol/threads.ts';
import { BatchSizer } from '../../batch/batch-sizer.ts';
import { MicroBatcher, type NextBatch } from '../../batch/micro-batcher.ts';
import type { MaskReaders } from '../results/mask-readers.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';
import { EnginePool, type EnginePoolEvents } from './engine-pool.ts';
import type { Batch, InferenceClient } from './inference-client.ts';
import { ResultCache } from './result-cache.ts';

/** Most batches on one thread while only files are read. */
const FILE_DEPTH = 2;
/**
 * Most model inputs of files that one message hands to a thread if the device gains little from batches. They run as
 * consecutive calls, and the main thread wakes once for all. On two cores this and a ring to match gave 3 % more frames
 * per second with YOLOX-nano.
 */
export const HAND_OVER_INPUTS = 4;
/** The same of crops, which hold no slots of their own: of most models those of a frame in one message. */
const HAND_OVER_CROPS = 8;
/** Most work in one message, so that no thread becomes idle at the end of a file. */
const HAND_OVER_MS = 50;
/** The same beside live streams, whose frames wait for it if they share the cores. */
const LIVE_CROPS_MS = 10;

export interface BatchSettings {
  readonly maxBatch: number;
  readonly maxDelayMs: number;
  /** A call that takes longer than this has hung. */
  readonly timeoutMs: number;
  /** Results kept for pictures that come again; 0 for none. */
  readonly cacheResults: number;
  /** What results name as their detector; absent: nothing, it is the pipeline's own. */
  readonly recordAs?: string | undefined;
  /** It is a second stage: it reads crops, and takes turns with what infers frames, see `FairShare`. */
  readonly readsCrops?: boolean | undefined;
}

/** What to do with a free thread. Frames in `stale` were too old and are dropped for every kind. */
export type Choice =
  | (NextBatch<InFlightFrame> & { readonly kind: 'empty' | 'wait' })
  | { readonly kind: 'batch'; readonly stale: readonly InFlightFrame[]; readonly batches: readonly Batch[] };

/**
 * A model that streams use: an engine on its threads, its batch settings, and the frames that wait for it.
 *
 * One batch runs on each thread. A second one waits there if only files are read, or if the engine accepts the next
 * batch while it computes one, so that the device does not idle in between. Live streams of other engines keep their
 * frames in the queue instead, where a newer frame can replace an older one.
 */
export class ModelInstance {
  readonly name: string;
  readonly batcher: MicroBatcher<InFlightFrame>;
  readonly pool: EnginePool;
  /** Results of pictures that may come again; null if none are kept. */
  readonly cache: ResultCache | null;
  /** Whether somebody reads the masks of a frame; never if it makes none. */
  readonly readsMasks: (frame: InFlightFrame) => boolean;
  readonly #settings: BatchSettings;
  readonly #histogram = new Map<number, number>();
  #sizer: BatchSizer | null = null;
  #starvedMs = 0;
  /** Since when a free thread has had no batch to run; null if none has. */
  #starvedSinceMs: number | null = null;
  /** The lowest score that any stream needs. */
  scoreThreshold = 0;
  /**
   * True if it serves a live stream. Then no frame of a file waits on a thread, where it would delay the newest live
   * frame.
   */
  servesLive = true;
  /** Batches that the engine accepts at once. */
  callsInFlight = 1;

  constructor({
    name,
    request,
    settings,
    events,
    masks,
  }: {
    readonly name: string;
    readonly request: EngineRequest;
    readonly settings: BatchSettings;
    readonly events: EnginePoolEvents;
    readonly masks: Pick<MaskReaders, 'has'>;
  }) {
    this.name = name;
    this.readsMasks = request.model.spec.task === 'masks' ? ({ streamId }) => masks.has(streamId) : () => false;
    this.#settings = settings;
    this.batcher = new MicroBatcher(settings);
    this.cache = settings.cacheResults === 0 ? null : new ResultCache(settings.cacheResults);
    this.pool = new EnginePool(request, events, settings.timeoutMs);
  }

  /** Loads the engine on every thread. @throws ENGINE_UNAVAILABLE */
  async start(threads: number): Promise<EngineInfo> {
    const info = await this.pool.start(threads);
    this.callsInFlight = info.callsInFlight;
    this.#sizer = new BatchSizer(info.batchSizes, info.warmMs, this.#settings.maxBatch);
    return info;
  }

  /** Whether it is a detector that streams name. */
  get isNamed(): boolean {
    return this.#settings.recordAs !== undefined;
  }

  get readsCrops(): boolean {
    return this.#settings.readsCrops === true;
  }

  get isReady(): boolean {
    return this.#sizer !== null && this.pool.threadCount > 0;
  }

  /** True while a batch is on one of its threads. */
  get isBusy(): boolean {
    return this.pool.clients.some(({ batchesInFlight }) => batchesInFlight > 0);
  }

  get maxWarmedSize(): number {
    return this.#sizer?.maxBatch ?? 1;
  }

  /** Model inputs at which a batch closes. */
  get batchSize(): number {
    return this.#sizer?.settledSize ?? 1;
  }

  /** Returns a thread that can take another batch; null if all are full or the engine is still loading. */
  freeThread(): InferenceClient | null {
    if (this.#sizer === null) return null;
    return this.pool.idle(Math.max(this.servesLive ? 1 : FILE_DEPTH, this.callsInFlight));
  }

  /** Chooses the next batch for a free thread, and stamps its frames. Call only while `isReady`. */
  choose(now: MonoMs): Choice {
    const sizer = this.#sizer!;
    const waiting = this.batcher.waitingInputs;
    const size = sizer.nextSize(waiting);
    const next = this.batcher.next(now, size * this.#callsAtOnce(sizer, size, waiting), sizer.singleCallMs);
    if (next.kind !== 'batch') {
      this.#starvedSinceMs ??= now;
      return next;
    }
    this.#starvedMs = this.starvedMs(now);
    this.#starvedSinceMs = null;
    const { items, inputs, isFull, stale } = next;
    let isSuspect = false;
    for (const frame of items) {
      frame.batchedMs = now;
      frame.model = this.#settings.recordAs ?? null;
      if (frame.failures > 0) isSuspect = true;
    }
    // A frame that has failed before runs alone, so that it cannot fail others again.
    const batches = isSuspect
      ? items.map((frame) => this.#batch([frame], inputsPerModel(frame.ring.slots.shape), size, false, now))
      : [this.#batch(items, inputs, size, isFull, now)];
    return { kind: 'batch', stale, batches };
  }

  #batch(frames: readonly InFlightFrame[], inputs: number, size: number, isFull: boolean, closedMs: MonoMs): Batch {
    const callSize = this.#sizer!.callSize(inputs, size, isFull);
    this.#count(inputs, callSize);
    const { name: model, scoreThreshold } = this;
    const masks = frames.some(this.readsMasks);
    const batch: Batch = { frames, inputs, callSize, scoreThreshold, masks, model, closedMs, ran: null };
    for (const frame of frames) frame.batch = batch;
    return batch;
  }

  /** Total time in which a thread was free and no batch could be closed. */
  starvedMs(nowMs: number): number {
    return this.#starvedMs + (this.#starvedSinceMs === null ? 0 : nowMs - this.#starvedSinceMs);
  }

  /** Number of calls of `size` inputs in one message; 1 if no more frames wait. */
  #callsAtOnce(sizer: BatchSizer, size: number, waiting: number): number {
    if ((this.servesLive && !this.readsCrops) || !sizer.isSettled) return 1;
    const inputs = this.readsCrops ? HAND_OVER_CROPS : HAND_OVER_INPUTS;
    const mostMs = this.servesLive ? LIVE_CROPS_MS : HAND_OVER_MS;
    const most = Math.min(inputs / size, mostMs / (size * sizer.singleCallMs));
    return Math.max(1, Math.floor(Math.min(most, waiting / size)));
  }

  #count(inputs: number, callSize: number): void {
    for (let left = inputs; left > 0; left -= callSize) {
      const inCall = Math.min(left, callSize);
      this.#histogram.set(inCall, (this.#histogram.get(inCall) ?? 0) + 1);
    }
  }

  /**
   * Records the time of a message's calls. @returns the reason for the batch size, once, when the trial has settled it;
   * else null.
   */
  observe({ inputs, callSize }: Batch, busyMs: number): string | null {
    const callMs = busyMs / Math.ceil(inputs / callSize);
    return this.#sizer!.observe(callSize, callMs) ? this.#sizer!.reason : null;
  }

  report(): BatchReport {
    return {
      histogram: Object.fromEntries(this.#histogram),
      maxBatch: this.#settings.maxBatch,
      settledSize: this.#sizer?.settledSize ?? null,
      reason: this.#sizer?.reason ?? 'the engine is still loading',
    };
  }
}
