import { smallestGoodSize } from '../../base/core/batch-size.ts';
import type { OutputTensor } from '../../base/core/model.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Provider } from '../../settings/config/engines.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { EngineInfo, EngineRequest, EngineShare } from '../../wire/protocol/threads.ts';

/**
 * The interface that every engine implements. Calls may block the calling thread inside the library, so an engine lives on an
 * inference thread. Accepts at most `info.callsInFlight` calls at a time; they resolve in the order of the calls.
 */
export interface InferenceEngine {
  readonly info: EngineInfo;
  /**
   * Returns memory for the next batch, u8 `[batchSize, height, width, 3]` RGB 0..255, plain (not shared), owned by the engine
   * and valid until the next `infer`. An engine with two calls in flight returns a second buffer while the first is in use.
   * Padding frames may hold anything.
   *
   * @throws RangeError for a size that was not warmed.
   */
  inputBuffer(batchSize: number): Uint8Array;
  /**
   * Runs the batch in `inputBuffer(batchSize)`.
   *
   * @param scoreThreshold - boxes below it are not needed, so a gated network leaves them out; 0 keeps all.
   * @returns the network's raw outputs by name, valid until the next call begins. The first axis is the batch, except for
   * gated networks (see their decoder). An output named `rows`, f32 `[batch, n, 6]`, is final (x, y, width, height in model
   * pixels, score, class) and needs no decoder.
   * @throws ENGINE_FAILED
   */
  infer(batchSize: number, scoreThreshold?: number): Promise<ReadonlyMap<string, OutputTensor>>;
  /**
   * Resolves with ENGINE_FAILED when the engine's process has ended, before the pending calls are rejected. Absent if the
   * engine runs in this process.
   */
  readonly lost?: Promise<SightlineError>;
  /** A cached file that had changed, and was made again while the engine was loaded; null or absent if there was none. */
  readonly damagedFile?: string | null;
  /** What other threads of this process may use instead of loading the engine again; absent if each has to. */
  readonly share?: EngineShare | undefined;
  /** Id of the engine's current process; absent if the engine runs in this process. */
  readonly pid?: number;
  /** Frees the device memory. Idempotent. */
  close(): Promise<void>;
}

/** Name of the output that needs no decoder. */
export const ROWS_OUTPUT = 'rows';

/** Makes the error of a batch size that was not warmed. */
export function notWarmed(batchSize: number, batchSizes: readonly number[]): RangeError {
  return new RangeError(`batch size ${batchSize}: expected one of ${batchSizes.join(', ')}`);
}

/** Makes the error of an engine that cannot be loaded, or cannot run a model. */
export function unavailable(engine: string, why: string, cause?: unknown): SightlineError {
  return new SightlineError('ENGINE_UNAVAILABLE', `engine ${engine} ${why}`, {}, { cause });
}

/** Makes the error of a call that failed in an engine's library. */
export function callFailed(engine: string, error: unknown): SightlineError {
  return new SightlineError('ENGINE_FAILED', `${engine}: ${(error as Error).message}`, {}, { cause: error });
}

/** Batch sizes to warm up: either fixed, or a choice of which only the faster ones are kept. */
export interface WarmUpPlan {
  readonly batchSizes: readonly number[];
  /** Warm up every size, even if it is no faster per frame. */
  readonly isFixed: boolean;
}

/** Plans the warm-up. All threads of a pool must use the same sizes: the first finds them, the others get them as `batchSizes`. */
export function planWarmUp(request: Pick<EngineRequest, 'batchSizes' | 'maxBatch' | 'model'>): WarmUpPlan {
  const { batchSizes, maxBatch, model } = request;
  if (batchSizes !== null) return { batchSizes, isFixed: true };
  return { batchSizes: batchSizesUpTo(maxBatch, model.batch), isFixed: false };
}

/** Returns the batch sizes to try, up to what the model and the user allow. */
export function batchSizesUpTo(maxBatch: number, modelBatch: 'free' | number): number[] {
  if (modelBatch !== 'free') return [modelBatch];
  const sizes = [1, 2, 4, 8, 16, 32, 64].filter((size) => size < maxBatch);
  return [...sizes, maxBatch];
}

/**
 * Returns the sizes up to the smallest one within 10 % of the best time per frame. Every size that has run once holds memory
 * for its intermediate results, so larger sizes that gain nothing are dropped.
 */
export function worthKeeping(warm: {
  readonly batchSizes: readonly number[];
  readonly warmMs: readonly number[];
}): number[] {
  const { batchSizes, warmMs } = warm;
  const best = smallestGoodSize(batchSizes, (size) => warmMs[batchSizes.indexOf(size)]! / size);
  return batchSizes.filter((size) => size <= best);
}

const MEASURED_CALLS = 5;
const FIXED_CALLS = 2;

/** A size must be this much faster per frame than the best smaller one, or still larger ones are not tried. */
const GAIN_RATIO = 0.97;

/**
 * Runs each size a few times. The first call allocates, tunes and compiles; the fastest of the others is the cost of the size.
 * Stops at the first size that gains nothing over the smaller ones: on CPUs that is the second, which keeps the start short.
 * Fixed sizes get fewer runs, so that a thread that replaces a lost one starts sooner.
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

/** What an engine needs before it can be loaded. */
interface ProvideOptions {
  readonly environment: Environment;
  /** `model.provider`. */
  readonly provider: Provider;
  /** Whether `model.engine` is `auto`. */
  readonly isChosen: boolean;
  readonly onNotice: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The code of an engine; `src/settings/config/engines.ts` says what it takes and computes. Its file exports one, and `engine-kinds.ts` lists it. */
export interface EngineKind {
  /**
   * Fetches or finds its library, and says on which device it runs if that is not `model.provider`. Absent if there is nothing to do.
   *
   * @throws ENGINE_UNAVAILABLE if the library is neither here nor to be fetched, or has no such device.
   */
  readonly provide?: (options: ProvideOptions) => Promise<Partial<Pick<EngineRequest, 'provider' | 'openvinoLibrary'>>>;
  /**
   * Loads and warms it up.
   *
   * @throws ENGINE_UNAVAILABLE
   */
  readonly load: (request: EngineRequest) => Promise<InferenceEngine>;
}
