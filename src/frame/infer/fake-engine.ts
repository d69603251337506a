import type { OutputTensor } from '../../base/core/model.ts';
import type { EngineInfo, EngineRequest, FakeEngineOptions } from '../../wire/protocol/threads.ts';
import { clockScore, readClock } from './clock-code.ts';
import { batchSizesUpTo, type EngineKind, type InferenceEngine, notWarmed, ROWS_OUTPUT } from './inference-engine.ts';

export const fake: EngineKind = {
  load: async (request) => new FakeEngine(request),
};

/**
 * Takes a fixed time per call and returns the same boxes for every frame, or reads a camera's clock from the picture. For
 * tests, and for benchmarks without inference.
 */
class FakeEngine implements InferenceEngine {
  readonly info: EngineInfo;
  readonly #options: FakeEngineOptions;
  readonly #memory: Uint8Array;
  readonly #frameBytes: number;
  readonly #size: { readonly width: number; readonly height: number };

  constructor(request: EngineRequest) {
    const { width, height } = request.model.spec.input;
    this.#size = { width, height };
    this.#options = request.fake;
    this.#frameBytes = width * height * 3;
    this.#memory = new Uint8Array(this.#frameBytes * request.maxBatch);
    const batchSizes = batchSizesUpTo(request.maxBatch, 'free');
    const warmMs = batchSizes.map((size) => this.#callMs(size));
    const nothing = { provider: 'none', device: 'none', precision: 'none' };
    this.info = { engine: 'fake', ...nothing, batchSizes, warmMs, callsInFlight: 1 };
  }

  #callMs(batchSize: number): number {
    return Math.max(0.01, this.#options.callMs + batchSize * this.#options.frameMs);
  }

  inputBuffer(batchSize: number): Uint8Array {
    if (!this.info.batchSizes.includes(batchSize)) throw notWarmed(batchSize, this.info.batchSizes);
    return this.#memory.subarray(0, batchSize * this.#frameBytes);
  }

  async infer(batchSize: number): Promise<ReadonlyMap<string, OutputTensor>> {
    this.inputBuffer(batchSize);
    const { callMs, frameMs, rows, barcode } = this.#options;
    const totalMs = callMs + batchSize * frameMs;
    // A timer instead of a loop: while a real device computes, the CPU is free.
    if (totalMs > 0) await new Promise((resolve) => setTimeout(resolve, totalMs));
    if (barcode) return this.#readClocks(batchSize);
    const data = new Float32Array(rows.length * batchSize);
    for (let i = 0; i < batchSize; i++) data.set(rows, i * rows.length);
    return new Map([[ROWS_OUTPUT, { data, dims: [batchSize, rows.length / 6, 6] }]]);
  }

  /** One box for each frame, the whole picture, whose score is the time that the picture shows; score 0 if it shows none. */
  #readClocks(batchSize: number): ReadonlyMap<string, OutputTensor> {
    const { width, height } = this.#size;
    const rows = Array.from({ length: batchSize }, (_, i) => {
      const picture = this.#memory.subarray(i * this.#frameBytes, (i + 1) * this.#frameBytes);
      const ticks = readClock(picture, width, height);
      return [0, 0, width, height, ticks === null ? 0 : clockScore(ticks), 0];
    });
    return new Map([[ROWS_OUTPUT, { data: Float32Array.from(rows.flat()), dims: [batchSize, 1, 6] }]]);
  }

  async close(): Promise<void> {}
}
