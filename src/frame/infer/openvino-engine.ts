import { GATE_INPUT, type OutputTensor } from '../../base/core/model.ts';
import { OPENVINO_REMEDY } from '../../base/core/openvino-facts.ts';
import { trimMemory } from '../../base/process/allocator.ts';
import type { EngineInfo, EngineRequest, EngineShare } from '../../wire/protocol/threads.ts';
import { gateOf } from './class-gate.ts';
import {
  callFailed,
  type EngineKind,
  type InferenceEngine,
  notWarmed,
  planWarmUp,
  unavailable,
  warmUp,
  worthKeeping,
} from './inference-engine.ts';
import { checkedFacts } from './onnx-facts.ts';
import { CompiledModels } from './openvino/compiled-models.ts';
import { chooseDevice, choosePrecision } from './openvino/device.ts';
import { deviceFacts } from './openvino/facts.ts';
import { InferRequest, type InferRequestOptions } from './openvino/infer-request.ts';
import { type Handle, OpenvinoLibrary } from './openvino/library.ts';

export const openvino: EngineKind = {
  provide: async ({ environment, provider }) => {
    const { requireOpenvino } = await import('../../network/store/openvino/openvino-place.ts');
    const { libraryPath: openvinoLibrary } = requireOpenvino(environment);
    // The device determines the number of threads and how the model is compiled.
    return { openvinoLibrary, provider: provider === 'auto' ? await bestDevice(openvinoLibrary) : provider };
  },
  load: (request) => OpenvinoEngine.load(request),
};

/**
 * OpenVINO through its C API. As with ONNX Runtime, each inference thread on a CPU runs one request at a time on one thread of the library.
 * That is as fast as asynchronous requests at half the latency, and a thread that dies affects no other (docs/adr/0016). The threads of a
 * pool share one core and its compiled models: a second copy of the default detector takes 23 MiB (docs/adr/0053).
 */
export class OpenvinoEngine implements InferenceEngine {
  readonly info: EngineInfo;
  readonly share: EngineShare | undefined;
  readonly #session: Session;

  private constructor(info: EngineInfo, session: Session, share: EngineShare | undefined) {
    this.info = info;
    this.share = share;
    this.#session = session;
  }

  /**
   * @throws ENGINE_UNAVAILABLE if the library is not set up, the device does not exist or does not support the requested
   * precision, or the model cannot be loaded.
   */
  static async load(request: EngineRequest): Promise<OpenvinoEngine> {
    const { provider, model } = request;
    if (model.format !== 'onnx')
      throw unavailable('openvino', `runs ONNX files; ${model.spec.name} is compiled as ${model.format}`);
    const library = loadLibrary(request.openvinoLibrary);
    const facts = checkedFacts('openvino', request);
    const joined = request.share === undefined ? null : CompiledModels.join(library, request.share);
    const session = new Session(library, joined ?? CompiledModels.create(library));
    const { models } = session;
    try {
      const device = chooseDevice(
        provider,
        deviceFacts(library, models.core, provider === 'cpu' ? ['CPU'] : undefined),
      );
      const isCpu = device.name === 'CPU';
      const { executed, hint } = choosePrecision(request.precision ?? 'auto', device, facts.isQuantised);
      const { input, scoreThreshold } = model.spec;
      if (joined === null)
        models.read(model.path, [model.batch === 'free' ? null : model.batch, input.height, input.width, 3]);
      const plan = planWarmUp(request);
      const measured = await warmUp(plan, async (size) => {
        const dims = [size, input.height, input.width, 3] as const;
        const compiled = models.compile(dims, device.name, propertiesOf(isCpu, hint, request));
        session
          .request(compiled, { dims, gateName: GATE_INPUT, outputNames: facts.outputs })
          .run(gateOf(scoreThreshold));
      });
      models.requirePrecision(hint);
      // Each size is a network of its own, which holds 50 to 150 MB: larger ones that gain nothing on a CPU are freed.
      const batchSizes = isCpu && !plan.isFixed ? worthKeeping(measured) : measured.batchSizes;
      session.keepOnly(batchSizes);
      if (joined === null) models.keepOnly(batchSizes);
      trimMemory();
      const warm = { batchSizes, warmMs: measured.warmMs.slice(0, batchSizes.length) };
      const { fullName } = device;
      const info = { engine: 'openvino', provider, device: fullName, precision: executed, ...warm, callsInFlight: 1 };
      return new OpenvinoEngine(info, session, isCpu ? models.share : undefined);
    } catch (error) {
      session.free();
      throw unavailable(
        'openvino',
        `with provider ${provider} cannot run ${model.path}: ${(error as Error).message}`,
        error,
      );
    }
  }

  inputBuffer(batchSize: number): Uint8Array {
    return this.#request(batchSize).memory;
  }

  async infer(batchSize: number, scoreThreshold = 0): Promise<ReadonlyMap<string, OutputTensor>> {
    const request = this.#request(batchSize);
    try {
      return request.run(gateOf(scoreThreshold));
    } catch (error) {
      throw callFailed('openvino', error);
    }
  }

  async close(): Promise<void> {
    this.#session.free();
  }

  #request(batchSize: number): InferRequest {
    const request = this.#session.requests.get(batchSize);
    if (request === undefined) throw notWarmed(batchSize, this.info.batchSizes);
    return request;
  }
}

/** The compiled models and this thread's request to each. */
class Session {
  readonly models: CompiledModels;
  readonly requests = new Map<number, InferRequest>();
  readonly #library: OpenvinoLibrary;

  constructor(library: OpenvinoLibrary, models: CompiledModels) {
    this.#library = library;
    this.models = models;
  }

  request(compiled: Handle, options: InferRequestOptions): InferRequest {
    const [size] = options.dims;
    const request = this.requests.get(size) ?? new InferRequest(this.#library, compiled, options);
    this.requests.set(size, request);
    return request;
  }

  /** Frees the requests of all other batch sizes. */
  keepOnly(sizes: readonly number[]): void {
    for (const [size, request] of this.requests) {
      if (sizes.includes(size)) continue;
      request.free();
      this.requests.delete(size);
    }
  }

  /** Idempotent. */
  free(): void {
    for (const request of this.requests.values()) request.free();
    this.requests.clear();
    this.models.leave();
  }
}

/**
 * Returns the compile properties of a device. Thread settings apply to CPUs only: one stream of the library for each thread that calls.
 * Pinning is off because two models that pin their threads both take the first core, which halves the speed.
 */
function propertiesOf(
  isCpu: boolean,
  hint: string,
  { callers = 1, intraThreads }: EngineRequest,
): Record<string, string> {
  const precision = { INFERENCE_PRECISION_HINT: hint };
  if (!isCpu) return { ...precision, NUM_STREAMS: '1' };
  return {
    ...precision,
    NUM_STREAMS: `${callers}`,
    INFERENCE_NUM_THREADS: `${callers * intraThreads}`,
    ENABLE_CPU_PINNING: 'NO',
  };
}

function loadLibrary(path: string | undefined): OpenvinoLibrary {
  if (path === undefined) throw unavailable('openvino', `is not set up. ${OPENVINO_REMEDY}`);
  try {
    return OpenvinoLibrary.load(path);
  } catch (error) {
    throw unavailable('openvino', `cannot load ${path}: ${(error as Error).message}. ${OPENVINO_REMEDY}`, error);
  }
}

/**
 * Resolves provider `auto` for this machine: the first of `gpu`, `npu`, `cpu` that OpenVINO finds.
 *
 * @throws ENGINE_UNAVAILABLE if the library cannot be loaded.
 */
async function bestDevice(libraryPath: string): Promise<'gpu' | 'npu' | 'cpu'> {
  const { probeOpenvino } = await import('../../network/store/openvino/probe-openvino.ts');
  const { reasonOf, toolRunner } = await import('../../network/store/wheels/run-tool.ts');
  try {
    const { devices } = await probeOpenvino(libraryPath, toolRunner(new AbortController().signal));
    return chooseDevice('auto', devices).name.split('.')[0]!.toLowerCase() as 'gpu' | 'npu' | 'cpu';
  } catch (error) {
    throw unavailable('openvino', `cannot load ${libraryPath}: ${reasonOf(error)}`, error);
  }
}
