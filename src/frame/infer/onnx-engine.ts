import type { InferenceSession } from 'onnxruntime-node';
import { type ComputePrecision, GATE_INPUT, type ModelSpec, type OutputTensor } from '../../base/core/model.ts';
import { trimMemory } from '../../base/process/allocator.ts';
import { onnxRuntime } from '../../base/process/fetched-packages.ts';
import type { EngineInfo, EngineRequest } from '../../wire/protocol/threads.ts';
import { gateOf } from './class-gate.ts';
import {
  callFailed,
  type EngineKind,
  type InferenceEngine,
  notWarmed,
  planWarmUp,
  unavailable,
  type WarmUpPlan,
  warmUp,
  worthKeeping,
} from './inference-engine.ts';
import { checkedFacts } from './onnx-facts.ts';
import { OptimisedGraph } from './optimised-graph.ts';

export const onnx: EngineKind = {
  provide: async ({ environment: { cacheDir }, onNotice, signal }) => {
    const { provideOnnxRuntime } = await import('../../network/store/packages/provide-package.ts');
    await provideOnnxRuntime({ cacheDir, onNotice, signal });
    return {};
  },
  load: (request) => OnnxEngine.load(request),
};

type Ort = typeof import('onnxruntime-node');

/**
 * ONNX Runtime. On CPUs each inference thread has one session with one thread: two such sessions do a third more work than one
 * session with two threads, because threads do not wait for each other at the end of each layer.
 */
export class OnnxEngine implements InferenceEngine {
  readonly info: EngineInfo;
  readonly damagedFile: string | null;
  readonly #session: InferenceSession;
  readonly #inputs: Map<number, BatchInput>;

  private constructor({
    session,
    request,
    precision,
    warm,
    graph,
  }: {
    readonly session: InferenceSession;
    readonly request: EngineRequest;
    readonly precision: ComputePrecision;
    readonly warm: Warm;
    readonly graph: OptimisedGraph | null;
  }) {
    this.#session = session;
    this.damagedFile = graph?.wasDamaged === true ? graph.path : null;
    this.#inputs = warm.inputs;
    this.info = {
      engine: 'onnx',
      provider: request.provider,
      device: request.provider === 'cpu' ? 'CPU' : request.provider.toUpperCase(),
      precision,
      batchSizes: warm.batchSizes,
      warmMs: warm.warmMs,
      callsInFlight: 1,
    };
  }

  /** @throws ENGINE_UNAVAILABLE if the library, the provider or the model cannot be loaded. */
  static async load(request: EngineRequest): Promise<OnnxEngine> {
    const ort = loadOrt();
    const facts = checkedFacts('onnx', request);
    const precision = facts.isQuantised ? 'int8' : request.model.precision;
    const graph =
      request.provider === 'cpu' ? new OptimisedGraph(request.model.path, ort.env.versions.node ?? '') : null;
    const isRewriting = graph !== null && !(await graph.isIntact());
    const plan = planWarmUp(request);
    const { session, warm } = await openWarm(ort, request, plan, graph);
    const batchSizes = request.provider === 'cpu' && !plan.isFixed ? worthKeeping(warm) : warm.batchSizes;
    if (batchSizes.length === warm.batchSizes.length && !isRewriting)
      return new OnnxEngine({ session, request, precision, warm, graph });
    // A session never frees memory, so one that tried large batches or rewrote the graph is replaced by a smaller one.
    await session.release();
    trimMemory();
    const smaller = await openWarm(ort, request, { batchSizes, isFixed: true }, graph);
    const smallerWarm = { ...smaller.warm, warmMs: warm.warmMs.slice(0, batchSizes.length) };
    return new OnnxEngine({ session: smaller.session, request, precision, warm: smallerWarm, graph });
  }

  inputBuffer(batchSize: number): Uint8Array {
    return this.#input(batchSize).memory;
  }

  #input(batchSize: number): BatchInput {
    const input = this.#inputs.get(batchSize);
    if (input === undefined) throw notWarmed(batchSize, this.info.batchSizes);
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
      throw callFailed('onnx', error);
    }
  }

  async close(): Promise<void> {
    if (this.#inputs.size === 0) return;
    this.#inputs.clear();
    await this.#session.release();
  }
}

/** Opens a session and warms it up at the sizes of the plan. @throws ENGINE_UNAVAILABLE */
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
    throw unavailable(nameOf(request), `cannot run ${request.model.path}: ${(error as Error).message}`, error);
  }
}

interface Warm {
  readonly batchSizes: readonly number[];
  readonly warmMs: readonly number[];
  readonly inputs: Map<number, BatchInput>;
}

type Feeds = Record<string, InstanceType<Ort['Tensor']>>;

/** Input tensors for one batch size, created once; their memory is overwritten for each call. */
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

function loadOrt(): Ort {
  try {
    return onnxRuntime();
  } catch (error) {
    const why = `cannot load onnxruntime-node: ${(error as Error).message}`;
    throw unavailable('onnx', `${why}. Fetch it with "sightline setup onnx", or use --engine wasm.`, error);
  }
}

async function openSession(ort: Ort, request: EngineRequest, graph: OptimisedGraph | null): Promise<InferenceSession> {
  // The library only warns about an unknown provider, drops it and runs on the CPU.
  const known = ort.listSupportedBackends().map(({ name }) => name);
  if (!known.includes(request.provider))
    throw unavailable(nameOf(request), `is not in this build of ONNX Runtime, which has ${known.join(', ')}`);
  const { path } = request.model;
  const open = (file: string, options: InferenceSession.SessionOptions): Promise<InferenceSession> =>
    ort.InferenceSession.create(file, {
      executionProviders: request.provider === 'cpu' ? ['cpu'] : [request.provider, 'cpu'],
      intraOpNumThreads: request.intraThreads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // A plan for all activations at once takes 25 MB more for each session of CenterNet and is not faster.
      enableMemPattern: request.provider !== 'cpu',
      logSeverityLevel: 3,
      ...options,
    });
  try {
    if (graph === null) return await open(path, { graphOptimizationLevel: 'all' });
    if (await graph.isIntact()) {
      const optimised = await open(graph.path, { graphOptimizationLevel: 'disabled' }).catch(() => null);
      if (optimised !== null) return optimised;
      graph.markUnloadable();
    }
    await graph.remove();
    return await graph.write((optimizedModelFilePath) =>
      open(path, {
        graphOptimizationLevel: 'all',
        ...(optimizedModelFilePath === undefined ? {} : { optimizedModelFilePath }),
      }),
    );
  } catch (error) {
    const { message } = error as Error;
    throw unavailable(nameOf(request), `cannot load ${path}: ${message}${operatorAdvice(message)}`, error);
  }
}

/** What helps if the network has an operator that no engine knows; empty if that is not what the library says. */
export function operatorAdvice(message: string): string {
  const [, known, custom] =
    /No Op registered for (\S+)|([\w.:]+\(-?\d+\)) is not a registered function/.exec(message) ?? [];
  const operator = known ?? custom;
  if (operator === undefined) return '';
  return (
    `. The operator ${operator} is not one of ONNX that this version knows: export the network again with standard operators, ` +
    'for instance with a lower opset, or without a plug-in for suppression, which Sightline does itself'
  );
}

function nameOf({ provider }: EngineRequest): string {
  return `onnx with provider ${provider}`;
}
