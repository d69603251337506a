import type { FrameTimes } from '../../base/core/frame.ts';
import {
  forStages,
  LATENCY_STAGES,
  type LatencyHistogram,
  type LatencyStage,
  STAGE_BOUNDS,
} from '../../wire/protocol/latency.ts';
import { LatencyCounter } from './latency-counter.ts';

/** Times of one batch on an inference thread, in milliseconds. */
export interface BatchTimes {
  readonly frames: number;
  /** Model inputs of these frames. */
  readonly inputs: number;
  /** From the choice of the batch to the start of its first call. */
  readonly waitMs: number;
  /** In the engine. */
  readonly inferMs: number;
  /** Decoding of its outputs into boxes. */
  readonly postprocessMs: number;
}

/** Sums since the start, in milliseconds, each over the frames that it names. */
export interface PartSums {
  /** Frames of the batches that ended. */
  readonly inferredFrames: number;
  /** Model inputs of these frames, whoever asked for them: streams, jobs, comparisons. */
  readonly inferredInputs: number;
  /** Over these frames: from batched until the thread began with the batch. */
  readonly threadWaitMs: number;
  readonly inferMs: number;
  readonly postprocessMs: number;
  /** Frames whose inference failed; one that fails, is retried and fails again counts twice. */
  readonly failedFrames: number;
  /** Frames that trackers and counters saw. */
  readonly trackedFrames: number;
  readonly trackMs: number;
  /** Frames that were handed to listeners and sinks. */
  readonly sentFrames: number;
  /** Main-thread time of listeners and sinks: serialisation, and the calls that send. */
  readonly sendMs: number;
}

/**
 * Adds up where the time of frames goes between the times that each frame carries, and counts the times of the stages. A few additions,
 * three clock readings and five searches per frame, 0.4 us: always on.
 */
export class PartTimes {
  readonly #stages = forStages(() => new LatencyCounter());
  readonly #sums = {
    inferredFrames: 0,
    inferredInputs: 0,
    threadWaitMs: 0,
    inferMs: 0,
    postprocessMs: 0,
    failedFrames: 0,
    trackedFrames: 0,
    trackMs: 0,
    sentFrames: 0,
    sendMs: 0,
  } satisfies PartSums;

  /** Every frame of a batch spends the whole time of the batch on the thread. */
  addBatch({ frames, inputs, waitMs, inferMs, postprocessMs }: BatchTimes): void {
    this.#sums.inferredFrames += frames;
    this.#sums.inferredInputs += inputs;
    this.#sums.threadWaitMs += frames * waitMs;
    this.#sums.inferMs += frames * inferMs;
    this.#sums.postprocessMs += frames * postprocessMs;
  }

  addFailed(frames: number): void {
    this.#sums.failedFrames += frames;
  }

  addStages(times: Readonly<FrameTimes>): void {
    for (const stage of LATENCY_STAGES) {
      const [from, to] = STAGE_BOUNDS[stage];
      this.#stages[stage].add(times[to] - times[from]);
    }
  }

  get stageHistograms(): Record<LatencyStage, LatencyHistogram> {
    return forStages((stage) => this.#stages[stage].report());
  }

  get failedFrames(): number {
    return this.#sums.failedFrames;
  }

  addTrack(ms: number): void {
    this.#sums.trackedFrames += 1;
    this.#sums.trackMs += ms;
  }

  addSend(ms: number): void {
    this.#sums.sentFrames += 1;
    this.#sums.sendMs += ms;
  }

  sums(): PartSums {
    return { ...this.#sums };
  }
}
