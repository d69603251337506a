import type { InferenceSession } from 'onnxruntime-node';
import { GATE_INPUT, type OutputTensor } from '../core/model.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { EngineInfo, EngineRequest } from '../protocol/threads.ts';
import { type InferenceEngine, planWarmUp, warmUp } from './inference-engine.ts';

type Ort = typeof import('onnxruntime-node');

/** Providers that a user may ask for, by the name that onnxruntime-node has for them. */
export const ONNX_PROVIDERS = ['cpu', 'cuda', 'tensorrt', 'webgpu', 'dml', 'coreml'] as const;

/**
 * ONNX Runtime. On CPUs one session with one thread on each inference thread: two such sessions do a third more work than
 * one session with two threads, since nothing waits at the end of each layer.
 */
export class OnnxEngine implements InferenceEngine {
  readonly info: EngineInfo;
  readonly #ort: Ort;
  readonly #session: InferenceSession;
  readonly #inputs: Map<number, Uint8Array>;
  readonly #dims: readonly [number, number];

  private constructor(ort: Ort, session: InferenceSession, request: EngineRequest, warm: Warm) {
    this.#ort = ort;
    this.#session = session;
    this.#inputs = warm.inputs;
    const { input } = request.model.spec;
    this.#dims = [input.height, input.width];
    this.info = {
      engine: 'onnx',
      provider: request.provider,
      device: request.provider === 'cpu' ? 'CPU' : request.provider.toUpperCase(),
      precision: request.model.precision,
      batchSizes: warm.batchSizes,
      warmMs: warm.warmMs,
      callsInFlight: 1,
    };
  }

  /** @throws ENGINE_UNAVAILABLE where the library, the provider or the model cannot be loaded. */
  static async load(request: EngineRequest): Promise<OnnxEngine> {
    const ort = await importOrt();
    const session = await openSession(ort, request);
    const { width, height } = request.model.spec.input;
    const inputs = new Map<number, Uint8Array>();
    try {
      const warm = await warmUp(planWarmUp(request), async (size) => {
        const memory = inputs.get(size) ?? new Uint8Array(size * width * height * 3);
        inputs.set(size, memory);
        const frames = new ort.Tensor('uint8', memory, [size, height, width, 3]);
        await session.run(feedsOf(ort, session, frames, request.model.spec.scoreThreshold));
      });
      return new OnnxEngine(ort, session, request, { ...warm, inputs });
    } catch (error) {
      await session.release();
      throw unavailable(request, `cannot run ${request.model.path}: ${(error as Error).message}`, error);
    }
  }

  inputBuffer(batchSize: number): Uint8Array {
    const memory = this.#inputs.get(batchSize);
    if (memory === undefined)
      throw new RangeError(`batch size ${batchSize}: expected one of ${this.info.batchSizes.join(', ')}`);
    return memory;
  }

  async infer(batchSize: number, scoreThreshold = 0): Promise<ReadonlyMap<string, OutputTensor>> {
    const dims = [batchSize, ...this.#dims, 3];
    try {
      const frames = new this.#ort.Tensor('uint8', this.inputBuffer(batchSize), dims);
      const results = await this.#session.run(feedsOf(this.#ort, this.#session, frames, scoreThreshold));
      const outputs = new Map<string, OutputTensor>();
      for (const [name, value] of Object.entries(results)) {
        if ('data' in value) outputs.set(name, { data: value.data as OutputTensor['data'], dims: value.dims });
      }
      return outputs;
    } catch (error) {
      if (error instanceof RangeError) throw error;
      throw new SightlineError('ENGINE_FAILED', `onnx: ${(error as Error).message}`, { batchSize }, { cause: error });
    }
  }

  async close(): Promise<void> {
    if (this.#inputs.size === 0) return;
    this.#inputs.clear();
    await this.#session.release();
  }
}

interface Warm {
  readonly batchSizes: readonly number[];
  readonly warmMs: readonly number[];
  readonly inputs: Map<number, Uint8Array>;
}

type Feeds = Record<string, InstanceType<Ort['Tensor']>>;

function feedsOf(ort: Ort, session: InferenceSession, frames: Feeds[string], scoreThreshold: number): Feeds {
  if (!session.inputNames.includes(GATE_INPUT)) return { frames };
  return { frames, [GATE_INPUT]: new ort.Tensor('float32', Float32Array.of(gateOf(scoreThreshold)), [1]) };
}

/** From here on the sigmoid of an f32 is 1. */
const CERTAIN = 16;

/** The gate lets a little too much through, so that rounding loses no box: the decoder has the last word. */
const GATE_SLACK = 1e-3;

/** The number whose sigmoid is the threshold. */
function gateOf(scoreThreshold: number): number {
  return Math.min(Math.log(scoreThreshold / (1 - scoreThreshold)), CERTAIN) - GATE_SLACK;
}

async function importOrt(): Promise<Ort> {
  try {
    const module = await import('onnxruntime-node');
    return (module as unknown as { default?: Ort }).default ?? module;
  } catch (error) {
    throw new SightlineError(
      'ENGINE_UNAVAILABLE',
      `engine onnx: onnxruntime-node cannot be loaded: ${(error as Error).message}. Run npm ci, or use --engine wasm.`,
      {},
      { cause: error },
    );
  }
}

async function openSession(ort: Ort, request: EngineRequest): Promise<InferenceSession> {
  // The library takes a provider that it does not know off the list with a warning, and would run on the CPU.
  const known = ort.listSupportedBackends().map(({ name }) => name);
  if (!known.includes(request.provider))
    throw unavailable(request, `is not in this build of ONNX Runtime, which has ${known.join(', ')}`);
  try {
    return await ort.InferenceSession.create(request.model.path, {
      executionProviders: request.provider === 'cpu' ? ['cpu'] : [request.provider, 'cpu'],
      intraOpNumThreads: request.intraThreads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
      logSeverityLevel: 3,
    });
  } catch (error) {
    throw unavailable(request, `cannot load ${request.model.path}: ${(error as Error).message}`, error);
  }
}

function unavailable({ provider }: EngineRequest, why: string, cause?: unknown): SightlineError {
  const message = `engine onnx with provider ${provider} ${why}`;
  return new SightlineError('ENGINE_UNAVAILABLE', message, { provider }, { cause });
}
