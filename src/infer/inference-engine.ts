import type { OutputTensor } from '../core/model.ts';
import type { SightlineError } from '../errors/sightline-error.ts';
import type { EngineInfo, EngineRequest } from '../protocol/threads.ts';

/**
 * The port of every engine. Calls may block the thread they are made on (that of the library, not only ours), so an engine
 * lives on an inference thread. At most `info.callsInFlight` calls at a time; they are answered in their order.
 */
export interface InferenceEngine {
  readonly info: EngineInfo;
  /**
   * Memory for the next batch, u8 `[batchSize, height, width, 3]` RGB 0..255, plain (not shared), owned by the engine and
   * valid until the next `infer`. An engine that takes two calls gives other memory while the first runs. Frames beyond the
   * real ones may hold anything.
   *
   * @throws RangeError for a size that was not warmed.
   */
  inputBuffer(batchSize: number): Uint8Array;
  /**
   * Runs what `inputBuffer(batchSize)` holds.
   *
   * @param scoreThreshold - boxes below it are not wanted, and a network that can may leave them out; 0 asks for all.
   * @returns the network's raw outputs by name, first axis the batch (but those of gated networks, which their decoder
   * knows); valid until the next call begins. An output named `rows`, f32 `[batch, n, 6]`, is final (x, y, width, height in
   * model pixels, score, class) and needs no decoder.
   * @throws ENGINE_FAILED
   */
  infer(batchSize: number, scoreThreshold?: number): Promise<ReadonlyMap<string, OutputTensor>>;
  /**
   * Resolves with ENGINE_FAILED when the engine can do nothing any more because its process ended, before its calls are
   * rejected. Absent where the engine has no process of its own.
   */
  readonly lost?: Promise<SightlineError>;
  /** The process of the engine now; absent as `lost` is. */
  readonly pid?: number;
  /** Frees the device memory. May be called twice. */
  close(): Promise<void>;
}

/** Name of the output that needs no decoder. */
export const ROWS_OUTPUT = 'rows';

/** What is to be warmed: given sizes, or candidates of which the ones that pay are kept. */
export interface WarmUpPlan {
  readonly batchSizes: readonly number[];
  /** Warm every size, whether it pays or not. */
  readonly isFixed: boolean;
}

/** Every thread of a pool must take the same sizes: the first finds them, the others are told. */
export function planWarmUp(request: Pick<EngineRequest, 'batchSizes' | 'maxBatch' | 'model'>): WarmUpPlan {
  const { batchSizes, maxBatch, model } = request;
  if (batchSizes !== null) return { batchSizes, isFixed: true };
  return { batchSizes: batchSizesUpTo(maxBatch, model.batch), isFixed: false };
}

/** Sizes worth trying, up to what the model and the user allow. */
export function batchSizesUpTo(maxBatch: number, modelBatch: 'free' | number): number[] {
  if (modelBatch !== 'free') return [modelBatch];
  const sizes = [1, 2, 4, 8, 16, 32, 64].filter((size) => size < maxBatch);
  return [...sizes, maxBatch];
}

/** A larger batch must be this much better per frame to be kept. */
const WORTH_RATIO = 1.1;

/**
 * The sizes that are worth their memory: up to the smallest within 10 % of the best time per frame. Every size that was run
 * once holds memory for its intermediate results, so a larger one that gains nothing is not kept for a later trial.
 */
export function worthKeeping(warm: {
  readonly batchSizes: readonly number[];
  readonly warmMs: readonly number[];
}): number[] {
  const perFrameMs = warm.batchSizes.map((size, index) => warm.warmMs[index]! / size);
  const best = Math.min(...perFrameMs);
  return warm.batchSizes.slice(0, perFrameMs.findIndex((ms) => ms <= best * WORTH_RATIO) + 1);
}

const MEASURED_CALLS = 5;
const FIXED_CALLS = 2;

/** A size must be this much faster per frame than the best smaller one, or still larger ones are not tried. */
const GAIN_RATIO = 0.97;

/**
 * Runs each size a few times: the first call allocates, tunes and compiles, and the best of the rest is what the size costs.
 * Stops at the first size that gains nothing over the smaller ones: on CPUs the second, which keeps the start short. Sizes
 * that were found before are not measured again: a thread that replaces a lost one is up sooner.
 */
export async function warmUp(
  plan: WarmUpPlan,
  run: (batchSize: number) => Promise<unknown>,
): Promise<{ batchSizes: number[]; warmMs: number[] }> {
  const warmed: number[] = [];
  const warmMs: number[] = [];
  let bestPerFrameMs = Number.POSITIVE_INFINITY;
  for (const size of plan.batchSizes) {
    let callMs = Number.POSITIVE_INFINITY;
    for (let i = 0; i < (plan.isFixed ? FIXED_CALLS : MEASURED_CALLS); i++) {
      const before = performance.now();
      await run(size);
      if (i > 0) callMs = Math.min(callMs, performance.now() - before);
    }
    warmed.push(size);
    warmMs.push(callMs);
    if (!plan.isFixed && callMs / size > bestPerFrameMs * GAIN_RATIO) break;
    bestPerFrameMs = Math.min(bestPerFrameMs, callMs / size);
  }
  return { batchSizes: warmed, warmMs };
}
