import type { Clock } from '../../../base/core/clock.ts';
import type { DropReason } from '../../../base/core/frame.ts';
import type { ModelSpec } from '../../../base/core/model.ts';
import { BackOff } from '../../../base/flow/back-off.ts';
import type { StageConfig } from '../../../settings/config/stages.ts';
import type { SecondStageReport, SkipReason } from '../../../wire/protocol/second-stage-report.ts';
import type { Crop, EngineInfo } from '../../../wire/protocol/threads.ts';
import { RateMeter } from '../../telemetry/rate-meter.ts';
import { SlidingWindow } from '../../telemetry/sliding-window.ts';
import type { ModelInstance } from '../inference/model-instance.ts';
import { type FrameOwner, holdFrame, type InFlightFrame, releaseFrame } from '../stream/in-flight-frame.ts';

/** A crop of a live stream that has waited for longer is of the past. */
const LIVE_AGE_MS = 2000;
/** Most crops of a live stream that wait for one second stage. */
const LIVE_CROPS = 64;
/** A model that fails is not asked again at once: each crop would wait until the thread is given up. */
const REST = { firstMs: 1000, maxMs: 60_000 };

/** A loaded model, as far as a second stage needs it. */
export interface StageModel {
  readonly spec: ModelSpec;
  /** Of everything that made it, hex. */
  readonly hash: string;
  /** What is less sure is not reported. */
  readonly scoreThreshold: number;
  readonly info: EngineInfo | null;
  readonly scheduler: { readonly model: Pick<ModelInstance, 'batcher' | 'report' | 'name'>; run(): void };
}

/** Gets what was found in a crop: rows as the decoder of the model makes them; null if it was not looked at. */
export type OnLooked = (rows: Float32Array | null) => void;

interface WaitingCrop extends InFlightFrame {
  readonly onLooked: OnLooked;
  readonly wantedMs: number;
}

/**
 * A model on crops of objects. Crops of all frames and streams wait in the queues of its model instance and take the way of frames from
 * there; each is looked at or skipped with a reason, exactly once.
 */
export class SecondStage implements FrameOwner {
  readonly retriesFrames = false;
  readonly config: StageConfig;
  readonly model: StageModel;
  readonly #clock: Clock;
  readonly #waiting = new Set<WaitingCrop>();
  readonly #rate: RateMeter;
  readonly #latency = new SlidingWindow();
  readonly #rest = new BackOff(REST);
  #restUntilMs = 0;
  #isDue = false;
  #wanted = 0;
  #looked = 0;
  readonly #skipped: Partial<Record<SkipReason, number>> = {};

  constructor(config: StageConfig, model: StageModel, clock: Clock) {
    this.config = config;
    this.model = model;
    this.#clock = clock;
    this.#rate = new RateMeter(clock.now());
  }

  get name(): string {
    return this.config.name;
  }

  /**
   * Looks at a part of a frame, whose slot is held until then. `onLooked` is called exactly once, perhaps before this returns.
   *
   * @param isLive - crops that wait for too long are skipped.
   */
  look(frame: InFlightFrame, crop: Crop, isLive: boolean, onLooked: OnLooked): void {
    const now = this.#clock.now();
    if (now < this.#restUntilMs) {
      this.skip('engine-failed');
      onLooked(null);
      return;
    }
    this.#wanted += 1;
    holdFrame(frame);
    const waiting: WaitingCrop = {
      ...frame,
      owner: this,
      crop,
      failures: 0,
      status: 'waiting',
      rows: null,
      by: 'inferred',
      repeats: null,
      onLooked,
      wantedMs: now,
    };
    this.#waiting.add(waiting);
    const { batcher } = this.model.scheduler.model;
    const bounds = isLive ? { queueSize: LIVE_CROPS, maxAgeMs: LIVE_AGE_MS } : { queueSize: null, maxAgeMs: null };
    batcher.setStream(frame.streamId, { priority: 0, weight: 1, ...bounds });
    for (const displaced of batcher.add(frame.streamId, waiting, now)) this.drop(displaced, 'queue-full');
    this.#runSoon();
  }

  /** Once for all crops of the frames whose results are here, so that they go to the thread together. */
  #runSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.model.scheduler.run();
    });
  }

  /** Counts an object that was due and that nobody will look at. */
  skip(reason: SkipReason): void {
    this.#wanted += 1;
    this.#skipped[reason] = (this.#skipped[reason] ?? 0) + 1;
  }

  complete(frame: InFlightFrame, rows: Float32Array, inferredMs: number): void {
    const crop = this.#take(frame);
    if (crop === null) return;
    this.#looked += 1;
    this.#rest.reset();
    this.#rate.add(inferredMs);
    this.#latency.add(inferredMs, inferredMs - crop.wantedMs);
    this.#leave(crop, rows);
  }

  drop(frame: InFlightFrame, reason: DropReason): void {
    const crop = this.#take(frame);
    if (crop === null) return;
    const why = isSkipReason(reason) ? reason : 'engine-failed';
    this.#skipped[why] = (this.#skipped[why] ?? 0) + 1;
    if (why === 'engine-failed' && this.#clock.now() >= this.#restUntilMs) {
      this.#restUntilMs = this.#clock.now() + this.#rest.nextMs();
      for (const { streamId } of [...this.#waiting]) this.withdraw(streamId, 'engine-failed');
    }
    this.#leave(crop, null);
  }

  /** Skips the crops of a stream that wait for a batch; those on a thread are looked at. */
  withdraw(streamId: string, reason: DropReason = 'stopped'): void {
    for (const frame of this.model.scheduler.model.batcher.removeStream(streamId)) this.drop(frame, reason);
  }

  /** Skips all crops that wait for a batch: the stage is replaced. */
  retire(): void {
    for (const streamId of new Set([...this.#waiting].map((crop) => crop.streamId))) this.withdraw(streamId);
  }

  report(nowMs: number): SecondStageReport {
    const { spec, info, scheduler } = this.model;
    const { p50, p99 } = this.#latency.percentiles(nowMs);
    return {
      name: this.name,
      model: spec.name,
      engine: info === null ? 'loading' : `${info.engine} ${info.precision}`,
      wanted: this.#wanted,
      looked: this.#looked,
      skipped: { ...this.#skipped },
      inFlight: this.#waiting.size,
      fps: this.#rate.perSecond(nowMs),
      latencyMs: { p50, p99 },
      batches: scheduler.model.report().histogram,
    };
  }

  #take(frame: InFlightFrame): WaitingCrop | null {
    const crop = frame as WaitingCrop;
    if (!this.#waiting.delete(crop)) return null;
    crop.status = 'done';
    return crop;
  }

  /** What is found may lead to other crops of the frame, so its slot is released last. */
  #leave(crop: WaitingCrop, rows: Float32Array | null): void {
    try {
      crop.onLooked(rows);
    } finally {
      releaseFrame(crop);
    }
  }
}

function isSkipReason(reason: DropReason): reason is DropReason & SkipReason {
  return reason === 'queue-full' || reason === 'stale' || reason === 'stopped';
}
