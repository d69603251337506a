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
 * Adds up where the time of frames goes between the times that each frame carries. A few additions and three clock
 * readings per frame, 0.2 us: always on.
 */
export class PartTimes {
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
