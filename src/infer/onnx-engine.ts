import type { InferenceSession } from 'onnxruntime-node';
import { GATE_INPUT, type ModelSpec, type OutputTensor } from '../core/model.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { EngineInfo, EngineRequest } from '../protocol/threads.ts';
import { type InferenceEngine, planWarmUp, type WarmUpPlan, warmUp, worthKeeping } from './inference-engine.ts';
import { OptimisedGraph } from './optimised-graph.ts';

type Ort = typeof import('onnxruntime-node');

/** Providers that a user may ask for, by the name that onnxruntime-node has for them. */
export const ONNX_PROVIDERS = ['cpu', 'cuda', 'tensorrt', 'webgpu', 'dml', 'coreml'] as const;

/**
 * ONNX Runtime. On CPUs one session with one thread on each inference thread: two such sessions do a third more work than
 * one session with two threads, since nothing waits at the end of each layer.
 */
export class OnnxEngine implements InferenceEngine {
  readonly info: EngineInfo;
  readonly #session: InferenceSession;
  readonly #inputs: Map<number, BatchInput>;

  private constructor(session: InferenceSession, request: EngineRequest, warm: Warm) {
    this.#session = session;
    this.#inputs = warm.inputs;
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
    const graph =
      request.provider === 'cpu' ? new OptimisedGraph(request.model.path, ort.env.versions.node ?? '') : null;
    const isRewriting = graph !== null && !graph.exists;
    const plan = planWarmUp(request);
    const { session, warm } = await openWarm(ort, request, plan, graph);
    const batchSizes = request.provider !== 'cpu' || plan.isFixed ? warm.batchSizes : worthKeeping(warm);
    if (batchSizes.length === warm.batchSizes.length && !isRewriting) return new OnnxEngine(session, request, warm);
    // A session never gives memory back: one that tried large batches or rewrote the graph is closed, and a lean one opened.
    await session.release();
    const lean = await openWarm(ort, request, { batchSizes, isFixed: true }, graph);
    return new OnnxEngine(lean.session, request, { ...lean.warm, warmMs: warm.warmMs.slice(0, batchSizes.length) });
  }

  inputBuffer(batchSize: number): Uint8Array {
    return this.#input(batchSize).memory;
  }

  #input(batchSize: number): BatchInput {
    const input = this.#inputs.get(batchSize);
    if (input === undefined)
      throw new RangeError(`batch size ${batchSize}: expected one of ${this.info.batchSizes.join(', ')}`);
    return input;
  }

  async infer(batchSize: number, scoreThreshold = 0): Promise<ReadonlyMap<string, OutputTensor>> {
    const input = this.#input(batchSize);
    try {
      const results = await this.#session.run(feedsOf(input, scoreThreshold));
      const outputs = new Map<string, OutputTensor>();
      for (const [name, value] of Object.entries(results)) {
        if ('data' in value) outputs.set(name, { data: value.data as OutputTensor['data'], dims: value.dims });
      }
      return outputs;
    } catch (error) {
      throw new SightlineError('ENGINE_FAILED', `onnx: ${(error as Error).message}`, { batchSize }, { cause: error });
    }
  }

  async close(): Promise<void> {
    if (this.#inputs.size === 0) return;
    this.#inputs.clear();
    await this.#session.release();
  }
}

/** Opens a session and runs it at the sizes of a plan. @throws ENGINE_UNAVAILABLE */
async function openWarm(
  ort: Ort,
  request: EngineRequest,
  plan: WarmUpPlan,
  graph: OptimisedGraph | null,
): Promise<{ session: InferenceSession; warm: Warm }> {
  const session = await openSession(ort, request, graph);
  const { spec } = request.model;
  const inputs = new Map<number, BatchInput>();
  try {
    const warm = await warmUp(plan, async (size) => {
      const input = inputs.get(size) ?? batchInput(ort, session, size, spec);
      inputs.set(size, input);
      await session.run(feedsOf(input, spec.scoreThreshold));
    });
    return { session, warm: { ...warm, inputs } };
  } catch (error) {
    await session.release();
    throw unavailable(request, `cannot run ${request.model.path}: ${(error as Error).message}`, error);
  }
}

interface Warm {
  readonly batchSizes: readonly number[];
  readonly warmMs: readonly number[];
  readonly inputs: Map<number, BatchInput>;
}

type Feeds = Record<string, InstanceType<Ort['Tensor']>>;

/** What a batch of one size is called with, made once: tensors over memory that is written anew for each call. */
interface BatchInput {
  readonly memory: Uint8Array;
  readonly gate: Float32Array;
  readonly feeds: Feeds;
}

function batchInput(ort: Ort, session: InferenceSession, size: number, { input }: ModelSpec): BatchInput {
  const dims = [size, input.height, input.width, 3];
  const memory = new Uint8Array(dims.reduce((product, dim) => product * dim, 1));
  const gate = new Float32Array(1);
  const feeds: Feeds = { frames: new ort.Tensor('uint8', memory, dims) };
  if (session.inputNames.includes(GATE_INPUT)) feeds[GATE_INPUT] = new ort.Tensor('float32', gate, [1]);
  return { memory, gate, feeds };
}

function feedsOf({ gate, feeds }: BatchInput, scoreThreshold: number): Feeds {
  gate[0] = gateOf(scoreThreshold);
  return feeds;
}

/** A little below 16.6, from where on the sigmoid of an f32 is 1. */
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

async function openSession(ort: Ort, request: EngineRequest, graph: OptimisedGraph | null): Promise<InferenceSession> {
  // The library takes a provider that it does not know off the list with a warning, and would run on the CPU.
  const known = ort.listSupportedBackends().map(({ name }) => name);
  if (!known.includes(request.provider))
    throw unavailable(request, `is not in this build of ONNX Runtime, which has ${known.join(', ')}`);
  const { path } = request.model;
  const open = (file: string, options: InferenceSession.SessionOptions): Promise<InferenceSession> =>
    ort.InferenceSession.create(file, {
      executionProviders: request.provider === 'cpu' ? ['cpu'] : [request.provider, 'cpu'],
      intraOpNumThreads: request.intraThreads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 3,
      ...options,
    });
  try {
    if (graph === null) return await open(path, { graphOptimizationLevel: 'all' });
    if (graph.exists) {
      const optimised = await open(graph.path, { graphOptimizationLevel: 'disabled' }).catch(() => null);
      if (optimised !== null) return optimised;
      await graph.remove();
    }
    return await graph.write((optimizedModelFilePath) =>
      open(path, {
        graphOptimizationLevel: 'all',
        ...(optimizedModelFilePath === undefined ? {} : { optimizedModelFilePath }),
      }),
    );
  } catch (error) {
    throw unavailable(request, `cannot load ${path}: ${(error as Error).message}`, error);
  }
}

function unavailable({ provider }: EngineRequest, why: string, cause?: unknown): SightlineError {
  const message = `engine onnx with provider ${provider} ${why}`;
  return new SightlineError('ENGINE_UNAVAILABLE', message, { provider }, { cause });
}
