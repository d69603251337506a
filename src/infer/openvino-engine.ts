import { GATE_INPUT, type OutputTensor } from '../core/model.ts';
import type { OpenvinoDevice } from '../core/openvino-facts.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { trimMemory } from '../process/allocator.ts';
import type { EngineInfo, EngineRequest } from '../protocol/threads.ts';
import { gateOf } from './class-gate.ts';
import { type InferenceEngine, planWarmUp, warmUp, worthKeeping } from './inference-engine.ts';
import { type OnnxFacts, readOnnxFacts } from './onnx-facts.ts';
import { chooseDevice, choosePrecision } from './openvino/device.ts';
import { deviceFacts } from './openvino/facts.ts';
import { type Handle, OpenvinoLibrary } from './openvino/library.ts';
import { FRAMES, OpenvinoNetwork } from './openvino/network.ts';
import { checkQuantised } from './quantised.ts';

export const OPENVINO_REMEDY = 'Set it up with: sightline setup openvino, or name its folder in OPENVINO_DIR';

/**
 * OpenVINO through its C API. As with ONNX Runtime, each inference thread on a CPU has its own core, model and request with one
 * library thread. That is as fast as the library's own streams at half the latency, and a thread that dies affects no other
 * (docs/adr/0016).
 */
export class OpenvinoEngine implements InferenceEngine {
  readonly info: EngineInfo;
  readonly #networks: Map<number, OpenvinoNetwork>;
  readonly #free: () => void;

  private constructor(info: EngineInfo, networks: Map<number, OpenvinoNetwork>, free: () => void) {
    this.info = info;
    this.#networks = networks;
    this.#free = free;
  }

  /**
   * @throws ENGINE_UNAVAILABLE if the library is not set up, the device does not exist or does not support the requested
   * precision, or the model cannot be loaded.
   */
  static async load(request: EngineRequest): Promise<OpenvinoEngine> {
    const { provider, model } = request;
    if (model.format !== 'onnx')
      throw unavailable(`runs ONNX files; ${model.spec.name} is compiled as ${model.format}`);
    const library = loadLibrary(request.openvinoLibrary);
    const facts = factsOf(model.path);
    checkQuantised('openvino', request, facts);
    const session = new Session(library);
    try {
      const device = chooseDevice(
        provider,
        deviceFacts(library, session.core, provider === 'cpu' ? ['CPU'] : undefined),
      );
      const { executed, hint } = choosePrecision(request.precision ?? 'auto', device, facts.isQuantised);
      const properties = propertiesOf(device, hint, request.intraThreads);
      const { input, scoreThreshold } = model.spec;
      session.read(model.path, [model.batch === 'free' ? null : model.batch, input.height, input.width, 3]);
      const plan = planWarmUp(request);
      const measured = await warmUp(plan, async (size) => {
        const dims = [size, input.height, input.width, 3] as const;
        session
          .network(size, { dims, gateName: GATE_INPUT, outputNames: facts.outputs, device: device.name, properties })
          .run(gateOf(scoreThreshold));
      });
      session.requirePrecision(hint);
      // Each size is a network of its own, which holds 50 to 150 MB: larger ones that gain nothing on a CPU are freed.
      const batchSizes = device.name === 'CPU' && !plan.isFixed ? worthKeeping(measured) : measured.batchSizes;
      session.keepOnly(batchSizes);
      trimMemory();
      const warm = { batchSizes, warmMs: measured.warmMs.slice(0, batchSizes.length) };
      const { fullName } = device;
      const info = { engine: 'openvino', provider, device: fullName, precision: executed, ...warm, callsInFlight: 1 };
      return new OpenvinoEngine(info, session.networks, () => session.free());
    } catch (error) {
      session.free();
      throw unavailable(`with provider ${provider} cannot run ${model.path}: ${(error as Error).message}`, error);
    }
  }

  inputBuffer(batchSize: number): Uint8Array {
    return this.#network(batchSize).memory;
  }

  async infer(batchSize: number, scoreThreshold = 0): Promise<ReadonlyMap<string, OutputTensor>> {
    const network = this.#network(batchSize);
    try {
      return network.run(gateOf(scoreThreshold));
    } catch (error) {
      throw new SightlineError(
        'ENGINE_FAILED',
        `openvino: ${(error as Error).message}`,
        { batchSize },
        { cause: error },
      );
    }
  }

  async close(): Promise<void> {
    this.#free();
  }

  #network(batchSize: number): OpenvinoNetwork {
    const network = this.#networks.get(batchSize);
    if (network === undefined)
      throw new RangeError(`batch size ${batchSize}: expected one of ${this.info.batchSizes.join(', ')}`);
    return network;
  }
}

/** The core, the model as read from the file, and one compiled network for each batch size. */
class Session {
  readonly networks = new Map<number, OpenvinoNetwork>();
  readonly core: Handle;
  readonly #library: OpenvinoLibrary;
  #model: Handle | null = null;
  #isFreed = false;

  constructor(library: OpenvinoLibrary) {
    this.#library = library;
    this.core = library.make('ov_core_create');
  }

  /** @param dims - of the input `frames`; a mismatch is an error, because OpenVINO would silently adapt the network. */
  read(path: string, dims: readonly (number | null)[]): void {
    this.#model = this.#library.make('ov_core_read_model', this.core, path, null);
    const port = this.#library.make('ov_model_const_input_by_name', this.#model, FRAMES);
    const input = this.#library.port(port);
    this.#library.free('ov_output_const_port_free', port);
    if (input.type !== 'u8' || input.dims.length !== dims.length || input.dims.some((dim, i) => dim !== dims[i]))
      throw new Error(
        `expected ${FRAMES} u8 [${formatDims(dims)}], received ${input.type} [${formatDims(input.dims)}]`,
      );
  }

  network(size: number, options: ConstructorParameters<typeof OpenvinoNetwork>[3]): OpenvinoNetwork {
    const network = this.networks.get(size) ?? new OpenvinoNetwork(this.#library, this.core, this.#model!, options);
    this.networks.set(size, network);
    return network;
  }

  /** Checks that the device uses the hint: it can ignore it without an error. */
  requirePrecision(hint: string): void {
    for (const network of this.networks.values()) {
      const taken = network.property('INFERENCE_PRECISION_HINT');
      if (taken !== hint) throw new Error(`expected the device to compute in ${hint}, received ${taken}`);
    }
  }

  /** Frees the networks of all other sizes, and the model as read, which only compiling needs. */
  keepOnly(sizes: readonly number[]): void {
    for (const [size, network] of this.networks) {
      if (sizes.includes(size)) continue;
      network.free();
      this.networks.delete(size);
    }
    this.#freeModel();
  }

  #freeModel(): void {
    if (this.#model !== null) this.#library.free('ov_model_free', this.#model);
    this.#model = null;
  }

  free(): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    for (const network of this.networks.values()) network.free();
    this.#freeModel();
    this.#library.free('ov_core_free', this.core);
  }
}

/**
 * Returns the compile properties of a device. Thread settings apply to CPUs only. Pinning is off because two models that pin
 * their threads both take the first core, which halves the speed.
 */
function propertiesOf({ name }: OpenvinoDevice, hint: string, threads: number): Record<string, string> {
  const common = { INFERENCE_PRECISION_HINT: hint, NUM_STREAMS: '1' };
  return name === 'CPU' ? { ...common, INFERENCE_NUM_THREADS: `${threads}`, ENABLE_CPU_PINNING: 'NO' } : common;
}

function loadLibrary(path: string | undefined): OpenvinoLibrary {
  if (path === undefined) throw unavailable(`is not set up. ${OPENVINO_REMEDY}`);
  try {
    return OpenvinoLibrary.load(path);
  } catch (error) {
    throw unavailable(`cannot load ${path}: ${(error as Error).message}. ${OPENVINO_REMEDY}`, error);
  }
}

function factsOf(path: string): OnnxFacts {
  try {
    return readOnnxFacts(path);
  } catch (error) {
    throw unavailable(`cannot load ${path}: ${(error as Error).message}`, error);
  }
}

function unavailable(why: string, cause?: unknown): SightlineError {
  return new SightlineError('ENGINE_UNAVAILABLE', `engine openvino ${why}`, {}, { cause });
}

function formatDims(dims: readonly (number | null)[]): string {
  return dims.map((dim) => dim ?? 'n').join(', ');
}
