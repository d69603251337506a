import type { OutputTensor } from '../core/model.ts';
import type { EngineInfo } from '../protocol/threads.ts';

/**
 * The port of every engine. Calls block the thread they are made on (that of the library, not only ours), so an engine
 * lives on an inference thread. One call at a time.
 */
export interface InferenceEngine {
  readonly info: EngineInfo;
  /**
   * Memory for a batch, u8 `[batchSize, height, width, 3]` RGB 0..255, plain (not shared), owned by the engine and valid
   * until the next `infer`. Frames beyond the real ones may hold anything.
   *
   * @throws RangeError for a size that was not warmed.
   */
  inputBuffer(batchSize: number): Uint8Array;
  /**
   * Runs what `inputBuffer(batchSize)` holds.
   *
   * @returns the network's raw outputs by name, first axis the batch; valid until the next call. An output named `rows`,
   * f32 `[batch, n, 6]`, is final (x, y, width, height in model pixels, score, class) and needs no decoder.
   * @throws ENGINE_FAILED
   */
  infer(batchSize: number): Promise<ReadonlyMap<string, OutputTensor>>;
  /** Frees the device memory. May be called twice. */
  close(): Promise<void>;
}

/** Name of the output that needs no decoder. */
export const ROWS_OUTPUT = 'rows';

/** Sizes worth warming, up to what the model and the user allow. */
export function batchSizesUpTo(maxBatch: number, modelBatch: 'free' | number): number[] {
  if (modelBatch !== 'free') return [modelBatch];
  const sizes = [1, 2, 4, 8, 16, 32, 64].filter((size) => size < maxBatch);
  return [...sizes, maxBatch];
}

/**
 * Runs each size a few times: the first calls allocate, tune and compile, and the best of the rest is what the size
 * costs. Sizes stop growing when one call takes longer than `limitMs`: such a batch would never be chosen.
 */
export async function warmUp(
  batchSizes: readonly number[],
  run: (batchSize: number) => Promise<unknown>,
  limitMs = 2000,
): Promise<{ batchSizes: number[]; warmMs: number[] }> {
  const warmed: number[] = [];
  const warmMs: number[] = [];
  for (const size of batchSizes) {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 4; i++) {
      const before = performance.now();
      await run(size);
      if (i > 0) best = Math.min(best, performance.now() - before);
    }
    warmed.push(size);
    warmMs.push(best);
    if (best > limitMs) break;
  }
  return { batchSizes: warmed, warmMs };
}
