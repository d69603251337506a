import type { OutputTensor } from '../../../base/core/model.ts';
import { loadFetchedPackage } from '../../../base/process/fetched-packages.ts';
import type { LibraryFacts, NamedOutput } from './child-messages.ts';

type Tf = typeof import('@tensorflow/tfjs-node-gpu');

/** The part of the package's `TFJSBinding` that is used here. */
interface Binding {
  readonly TF_UINT8: number;
  readonly TF_Version: string;
  isUsingGpuDevice(): boolean;
  getNumOfTensors(): number;
  createTensor(shape: readonly number[], dtype: number, data: Uint8Array): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): OutputTensor['data'];
  loadSavedModel(path: string, tags: string): number;
  runSavedModel(id: number, inputs: number[], inputNames: string, outputNames: string): TensorMetadata[];
}

interface TensorMetadata {
  readonly id: number;
  readonly shape: number[];
}

const INPUT = 'frames';
const SIGNATURE = 'serving_default';

/** TensorFlow, loaded into this process. Do not load it on the main thread: its calls block. */
export class TensorflowLibrary {
  readonly #tf: Tf;
  readonly #binding: Binding;

  private constructor(tf: Tf) {
    this.#tf = tf;
    this.#binding = (tf.backend() as unknown as { binding: Binding }).binding;
  }

  /** @throws Error of the package if its binding is missing or does not load. */
  static load(): TensorflowLibrary {
    return new TensorflowLibrary(loadFetchedPackage('@tensorflow/tfjs-node-gpu') as Tf);
  }

  get facts(): LibraryFacts {
    return { version: this.#binding.TF_Version, isGpu: this.#binding.isUsingGpuDevice() };
  }

  /** Number of tensors of tfjs, plus library handles that no tfjs tensor refers to. */
  get numTensors(): number {
    return this.#tf.memory().numTensors + this.#binding.getNumOfTensors();
  }

  /** @throws Error if the folder holds no SavedModel with one input `frames` of this size. */
  async open(path: string, size: { width: number; height: number }): Promise<SavedModelSession> {
    const graphs = await this.#tf.node.getMetaGraphsFromSavedModel(path);
    const signature = graphs.find(({ tags }) => tags.includes('serve'))?.signatureDefs[SIGNATURE];
    const input = signature?.inputs[INPUT];
    if (signature === undefined || input === undefined || Object.keys(signature.inputs).length !== 1)
      throw new Error(`${path}: expected a signature ${SIGNATURE} with the one input ${INPUT}`);
    // The package types these as numbers, but they are protobuf messages. The session itself does not check sizes.
    const dims = (input.shape as unknown as readonly { getSize(): number }[]).map((dim) => dim.getSize());
    // A network with a fixed batch size states it; the engine only requests sizes that the model takes.
    const expected = [dims[0]! > 0 ? dims[0]! : -1, size.height, size.width, 3];
    if (input.tfDtype !== 'DT_UINT8' || expected.some((side, i) => dims[i] !== side))
      throw new Error(`${path}: expected ${INPUT} DT_UINT8 [${expected}], found ${input.tfDtype} [${dims}]`);
    const outputs = Object.entries(signature.outputs).map(([name, { name: node }]) => [name, node] as const);
    return new SavedModelSession({ binding: this.#binding, path, size, inputNode: input.name, outputs });
  }
}

/**
 * A SavedModel, one session call for each batch. Calls the binding directly instead of `TFSavedModel.predict`, which takes only
 * i32 tensors and converts them back to u8. Measured at 480x256 on two cores: 0.6 ms less for one frame, 6.9 ms less for eight.
 * On CPUs the library reads the pixels in place, also from shared memory.
 */
export class SavedModelSession {
  readonly #binding: Binding;
  readonly #id: number;
  readonly #size: { width: number; height: number };
  readonly #inputNode: string;
  readonly #outputNames: readonly string[];
  readonly #outputNodes: string;

  constructor({
    binding,
    path,
    size,
    inputNode,
    outputs,
  }: {
    readonly binding: Binding;
    readonly path: string;
    readonly size: { width: number; height: number };
    readonly inputNode: string;
    readonly outputs: readonly (readonly [name: string, node: string])[];
  }) {
    this.#binding = binding;
    this.#size = size;
    this.#inputNode = inputNode;
    this.#outputNames = outputs.map(([name]) => name);
    this.#outputNodes = outputs.map(([, node]) => node).join(',');
    this.#id = binding.loadSavedModel(path, 'serve');
  }

  /**
   * @param pixels - u8 `[batchSize, height, width, 3]`; must not change until this returns.
   * @returns copies of the outputs; all tensors of the call are freed. @throws Error of the session.
   */
  run(pixels: Uint8Array, batchSize: number): NamedOutput[] {
    const binding = this.#binding;
    const { width, height } = this.#size;
    const input = binding.createTensor([batchSize, height, width, 3], binding.TF_UINT8, pixels);
    let results: TensorMetadata[] = [];
    try {
      results = binding.runSavedModel(this.#id, [input], this.#inputNode, this.#outputNodes);
      return results.map(({ id, shape }, i) => ({
        name: this.#outputNames[i]!,
        dims: shape,
        data: binding.tensorDataSync(id),
      }));
    } finally {
      for (const { id } of results) binding.deleteTensor(id);
      binding.deleteTensor(input);
    }
  }
}
