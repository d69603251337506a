import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { GraphModel } from '@tensorflow/tfjs-converter';
import type { io, Tensor } from '@tensorflow/tfjs-core';
import type { OutputTensor } from '../../base/core/model.ts';
import { readModel } from '../../base/disk/given-file.ts';
import type { EngineInfo, EngineRequest } from '../../wire/protocol/threads.ts';
import {
  callFailed,
  type EngineKind,
  type InferenceEngine,
  notWarmed,
  unavailable,
  warmUp,
} from './inference-engine.ts';

export const wasm: EngineKind = {
  load: (request) => WasmEngine.load(request),
};

type Core = typeof import('@tensorflow/tfjs-core');

/**
 * TensorFlow.js on WebAssembly, for machines that cannot load a native library. Runs the network as published, one frame at a
 * time, several times slower than onnx.
 */
class WasmEngine implements InferenceEngine {
  readonly info: EngineInfo;
  readonly #tf: Core;
  readonly #model: GraphModel;
  readonly #memory: Uint8Array;
  readonly #shape: [number, number, number, number];
  #isClosed = false;

  private constructor({
    tf,
    model,
    memory,
    shape,
    info,
  }: {
    readonly tf: Core;
    readonly model: GraphModel;
    readonly memory: Uint8Array;
    readonly shape: [number, number, number, number];
    readonly info: EngineInfo;
  }) {
    this.#tf = tf;
    this.#model = model;
    this.#memory = memory;
    this.#shape = shape;
    this.info = info;
  }

  /** @throws ENGINE_UNAVAILABLE if the model is not a TFJS graph model or the backend cannot start. */
  static async load(request: EngineRequest): Promise<WasmEngine> {
    const { spec, format, path } = request.model;
    if (format !== 'tfjs')
      throw unavailable('wasm', `runs TensorFlow.js graph models; ${spec.name} is an ONNX file. Use --engine onnx.`);
    const shape: [number, number, number, number] = [1, spec.input.height, spec.input.width, 3];
    const memory = new Uint8Array(spec.input.height * spec.input.width * 3);
    try {
      const { tf, model } = await loadBackend(path);
      const warm = await warmUp({ batchSizes: [1], isFixed: true }, async () => run(tf, model, memory, shape));
      const info = { engine: 'wasm', provider: 'wasm', device: 'CPU', precision: 'f32', ...warm, callsInFlight: 1 };
      return new WasmEngine({ tf, model, memory, shape, info });
    } catch (error) {
      throw unavailable('wasm', `cannot run ${spec.name}: ${(error as Error).message}`, error);
    }
  }

  inputBuffer(batchSize: number): Uint8Array {
    if (batchSize !== 1) throw notWarmed(batchSize, [1]);
    return this.#memory;
  }

  async infer(batchSize: number): Promise<ReadonlyMap<string, OutputTensor>> {
    this.inputBuffer(batchSize);
    try {
      return await run(this.#tf, this.#model, this.#memory, this.#shape);
    } catch (error) {
      throw callFailed('wasm', error);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#model.dispose();
  }
}

async function loadBackend(path: string): Promise<{ tf: Core; model: GraphModel }> {
  const tf = await import('@tensorflow/tfjs-core');
  const wasm = await import('@tensorflow/tfjs-backend-wasm');
  const { loadGraphModel } = await import('@tensorflow/tfjs-converter');
  const resolved = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${dirname(resolved)}/`);
  await tf.setBackend('wasm');
  await tf.ready();
  return { tf, model: await loadGraphModel(fileHandler(path)) };
}

/** Reads `model.json` and its weights from disk; the handlers of tfjs use fetch. */
function fileHandler(path: string): io.IOHandler {
  return {
    async load(): Promise<io.ModelArtifacts> {
      const json = JSON.parse((await readModel(path)).toString('utf8')) as io.ModelJSON;
      const groups = json.weightsManifest;
      const files = await Promise.all(
        groups.flatMap((group) => group.paths).map((name) => readModel(join(dirname(path), name))),
      );
      const joined = Buffer.concat(files);
      return {
        modelTopology: json.modelTopology,
        weightSpecs: groups.flatMap((group) => group.weights),
        weightData: joined.buffer.slice(joined.byteOffset, joined.byteOffset + joined.length),
        ...(json.signature === undefined ? {} : { signature: json.signature }),
      };
    },
  };
}

async function run(
  tf: Core,
  model: GraphModel,
  memory: Uint8Array,
  shape: [number, number, number, number],
): Promise<Map<string, OutputTensor>> {
  const input = tf.tidy(() => tf.cast(tf.tensor(memory, shape, 'int32'), 'float32'));
  const names = model.outputs.map((output) => output.name.replace(/:0$/, ''));
  let tensors: Tensor[] = [];
  try {
    // Detectors of the supported families have no control flow, so the synchronous executor is enough.
    const result = model.execute(input, names);
    tensors = Array.isArray(result) ? result : [result];
    const outputs = new Map<string, OutputTensor>();
    for (const [i, tensor] of tensors.entries()) {
      outputs.set(names[i]!, { data: (await tensor.data()) as Float32Array | Int32Array, dims: tensor.shape });
    }
    return outputs;
  } finally {
    input.dispose();
    for (const tensor of tensors) tensor.dispose();
  }
}
