import type { OutputTensor } from '../../base/core/model.ts';
import { type HashedFile, requireIntact } from '../../base/disk/artefact-hash.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { EngineInfo, EngineRequest } from '../../wire/protocol/threads.ts';
import {
  type EngineKind,
  type InferenceEngine,
  notWarmed,
  planWarmUp,
  unavailable,
  warmUp,
} from './inference-engine.ts';
import { CHILD_DEPTH, type ChildResult, TensorflowChild } from './tensorflow/tensorflow-child.ts';

export const tensorflow: EngineKind = {
  // If `auto` chose it, it must use a GPU.
  provide: async ({ isChosen }) => (isChosen ? { provider: 'cuda' } : {}),
  load: (request) => TensorflowEngine.load(request),
};

export interface TensorflowLimits {
  /** The process is replaced when it holds this much more memory than after its warm-up. */
  readonly rssGrowthBytes: number;
}

/** Ten thousand calls add a few megabytes. Growth of 512 MB is a leak, and still harmless. */
const LIMITS: TensorflowLimits = { rssGrowthBytes: 512 * 2 ** 20 };

const TENSORFLOW_REMEDY = 'Set it up with: sightline setup tensorflow (--gpu for NVIDIA GPUs)';

type Load = Parameters<typeof TensorflowChild.start>[0];

/**
 * TensorFlow through `@tensorflow/tfjs-node-gpu`: a SavedModel, one session call for each batch. Each engine has one child
 * process (docs/adr/0008). While one batch is computed, the next is already in the child's memory.
 *
 * A process that grows beyond its memory budget is replaced: the new one is loaded and warmed up beside it, takes over between
 * two batches, and the old one ends after its last batch. No call is lost. Meanwhile a GPU holds the network twice; if it
 * cannot, the old process stays.
 */
export class TensorflowEngine implements InferenceEngine {
  readonly info: EngineInfo;
  readonly lost: Promise<SightlineError>;
  readonly #load: Load;
  readonly #limits: TensorflowLimits;
  readonly #frameBytes: number;
  /** One buffer for the batch on the device, one for the next. */
  readonly #memory: readonly [Uint8Array, Uint8Array];
  #nextBuffer: 0 | 1 = 0;
  #inFlight = 0;
  readonly #files: readonly HashedFile[];
  #child: TensorflowChild;
  #rssLimit: number;
  #replacement: Promise<void> | null = null;
  #handover: Promise<void> | null = null;
  #replacements = 0;
  #usage: Usage;
  #onLost: (error: SightlineError) => void = () => undefined;
  #isClosed = false;

  private constructor(request: EngineRequest, limits: TensorflowLimits, load: Load, warm: Warm) {
    const { width, height } = request.model.spec.input;
    this.#load = load;
    this.#limits = limits;
    this.#frameBytes = width * height * 3;
    const largest = Math.max(...warm.batchSizes) * this.#frameBytes;
    this.#memory = [new Uint8Array(largest), new Uint8Array(largest)];
    this.#usage = warm.usage;
    this.#rssLimit = warm.usage.rssBytes + limits.rssGrowthBytes;
    this.lost = new Promise((resolve) => {
      this.#onLost = resolve;
    });
    this.#files = request.model.files ?? [];
    this.#child = this.#watch(warm.child);
    const { isGpu } = warm.child.facts;
    this.info = {
      engine: 'tensorflow',
      provider: isGpu ? 'cuda' : 'cpu',
      device: isGpu ? gpuName(warm.child.log) : 'CPU',
      precision: request.model.precision,
      batchSizes: warm.batchSizes,
      warmMs: warm.warmMs,
      callsInFlight: CHILD_DEPTH,
    };
  }

  /**
   * @throws ENGINE_UNAVAILABLE if the library is not set up, the model is not a SavedModel or cannot be run, or provider `cuda`
   * was requested and the library finds no GPU.
   */
  static async load(request: EngineRequest, limits: TensorflowLimits = LIMITS): Promise<TensorflowEngine> {
    const { format, path, spec } = request.model;
    if (format !== 'saved-model')
      throw unavailable(
        'tensorflow',
        `runs SavedModels; ${spec.name} is compiled as ${format}. Compile it for this engine`,
      );
    const { width, height } = spec.input;
    const load = { model: { path, width, height, maxBatch: request.maxBatch } };
    const child = await startChild(load, path);
    try {
      if (request.provider === 'cuda' && !child.facts.isGpu)
        throw unavailable('tensorflow', 'finds no GPU; sightline doctor shows why');
      return new TensorflowEngine(request, limits, load, await warmChild(child, request));
    } catch (error) {
      await child.close();
      if (error instanceof SightlineError && error.code === 'ENGINE_UNAVAILABLE') throw error;
      throw unavailable('tensorflow', `cannot run ${path}: ${(error as Error).message}`, error);
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** How often the process was replaced because of its memory growth. */
  get replacements(): number {
    return this.#replacements;
  }

  /** Tensor count and memory after the latest call. */
  get usage(): Usage {
    return this.#usage;
  }

  inputBuffer(batchSize: number): Uint8Array {
    if (!this.info.batchSizes.includes(batchSize)) throw notWarmed(batchSize, this.info.batchSizes);
    return this.#memory[this.#nextBuffer].subarray(0, batchSize * this.#frameBytes);
  }

  async infer(batchSize: number): Promise<ReadonlyMap<string, OutputTensor>> {
    const pixels = this.inputBuffer(batchSize);
    if (this.#inFlight === CHILD_DEPTH) throw new RangeError(`${CHILD_DEPTH} calls are already in flight`);
    this.#nextBuffer = this.#nextBuffer === 0 ? 1 : 0;
    this.#inFlight += 1;
    try {
      if (this.#handover !== null) await this.#handover;
      const { outputs, numTensors, rssBytes } = await this.#child.run(pixels, batchSize);
      this.#usage = { numTensors, rssBytes };
      if (rssBytes > this.#rssLimit) this.#replacement ??= this.#replace();
      return outputs;
    } finally {
      this.#inFlight -= 1;
    }
  }

  #watch(child: TensorflowChild): TensorflowChild {
    void child.gone.then((why) => {
      if (child === this.#child && !this.#isClosed)
        this.#onLost(new SightlineError('ENGINE_FAILED', `tensorflow: ${why}`));
    });
    return child;
  }

  /** Replaces the process. Never rejects: if it fails, the old process stays. */
  async #replace(): Promise<void> {
    const { rssGrowthBytes } = this.#limits;
    const old = this.#child;
    let fresh: TensorflowChild | null = null;
    try {
      await requireIntact(this.#files);
      fresh = await TensorflowChild.start(this.#load);
      let rssBytes = 0;
      for (const size of this.info.batchSizes) {
        ({ rssBytes } = await fresh.run(new Uint8Array(size * this.#frameBytes), size));
      }
      if (this.#isClosed) throw new Error('closed meanwhile');
      this.#handover = this.#handOver(old, fresh);
      await this.#handover;
      // Let the waiting calls continue first, or a call that arrives now would overtake them.
      await new Promise((resolve) => setImmediate(resolve));
      this.#handover = null;
      this.#rssLimit = rssBytes + rssGrowthBytes;
      this.#replacements += 1;
      await old.close();
    } catch {
      await fresh?.close();
      this.#rssLimit = this.#usage.rssBytes + rssGrowthBytes;
    } finally {
      this.#replacement = null;
    }
  }

  /** Calls that arrive during the hand-over wait, so that all resolve in order. */
  async #handOver(old: TensorflowChild, fresh: TensorflowChild): Promise<void> {
    await old.idle();
    this.#child = this.#watch(fresh);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#child.close();
    await this.#replacement;
  }
}

type Usage = Pick<ChildResult, 'numTensors' | 'rssBytes'>;

interface Warm {
  readonly child: TensorflowChild;
  readonly batchSizes: readonly number[];
  readonly warmMs: readonly number[];
  readonly usage: Usage;
}

async function startChild(load: Load, path: string): Promise<TensorflowChild> {
  try {
    return await TensorflowChild.start(load);
  } catch (error) {
    const { message } = error as Error;
    // An error about the model contains its path; any other error means that the set-up is missing or broken. The later lines
    // of the package's message are left out: they explain how to build against its old library.
    const reason = message.includes(path) ? message : message.split('\n')[0]!.replace(/\.$/, '');
    const why = message.includes(path) ? `cannot load ${reason}` : `cannot be loaded: ${reason}. ${TENSORFLOW_REMEDY}`;
    throw unavailable('tensorflow', why, error);
  }
}

async function warmChild(child: TensorflowChild, request: EngineRequest): Promise<Warm> {
  const { width, height } = request.model.spec.input;
  let usage: Usage = { numTensors: 0, rssBytes: 0 };
  const warm = await warmUp(planWarmUp(request), async (size) => {
    const { numTensors, rssBytes } = await child.run(new Uint8Array(size * width * height * 3), size);
    usage = { numTensors, rssBytes };
  });
  return { child, ...warm, usage };
}

/** Reads the name of the GPU from TensorFlow's log, its only source: `device: 0, name: NVIDIA H100, pci bus id: ...`. */
function gpuName(log: string): string {
  return /\bname: (.+?), pci bus id/.exec(log)?.[1] ?? 'GPU';
}
