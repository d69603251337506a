import type { OutputTensor } from '../../../base/core/model.ts';
import { type Handle, memoryOf, type OpenvinoLibrary } from './library.ts';
import type { FreeFunction } from './signatures.ts';

/** Input that every compiled ONNX file takes: u8 `[n, height, width, 3]`. */
export const FRAMES = 'frames';

export interface InferRequestOptions {
  /** Shape of the input `frames`. */
  readonly dims: readonly [batch: number, height: number, width: number, 3];
  /** Name of the f32 `[1]` input that a gated network takes besides `frames`. */
  readonly gateName: string;
  readonly outputNames: readonly string[];
}

/** One thread's request to a model compiled for one batch size, with the memory of its inputs and outputs. */
export class InferRequest {
  /** Pixels of the input `frames`; the device reads them during `run`. */
  readonly memory: Uint8Array;
  readonly #library: OpenvinoLibrary;
  readonly #owned: [FreeFunction, Handle][] = [];
  readonly #request: Handle;
  readonly #gate = new Float32Array(1);
  /** Outputs of a fixed shape: the device writes directly into this memory. */
  readonly #outputs = new Map<string, OutputTensor>();
  /** Outputs whose shape depends on the picture: copied after each call. */
  readonly #dynamicNames: string[] = [];

  /** @param compiled - must outlive the constructor. @throws OpenvinoError */
  constructor(library: OpenvinoLibrary, compiled: Handle, options: InferRequestOptions) {
    this.#library = library;
    this.memory = new Uint8Array(options.dims.reduce((product, dim) => product * dim, 1));
    try {
      this.#request = this.#own(
        'ov_infer_request_free',
        library.make('ov_compiled_model_create_infer_request', compiled),
      );
      this.#bind(FRAMES, library.tensorOver(this.memory, 'u8', options.dims));
      if (this.#inputCount(compiled) > 1) this.#bind(options.gateName, library.tensorOver(this.#gate, 'f32', [1]));
      for (const name of options.outputNames) this.#bindOutput(compiled, name);
    } catch (error) {
      this.free();
      throw error;
    }
  }

  /**
   * Runs the batch in `memory` and blocks this thread until it is done.
   *
   * @param gate - logit that a gated network compares objectness with; other networks ignore it.
   * @returns outputs, valid until the next call. @throws OpenvinoError
   */
  run(gate: number): ReadonlyMap<string, OutputTensor> {
    this.#gate[0] = gate;
    this.#library.call('ov_infer_request_infer', this.#request);
    for (const name of this.#dynamicNames) {
      const tensor = this.#library.make('ov_infer_request_get_tensor', this.#request, name);
      try {
        this.#outputs.set(name, this.#library.read(tensor));
      } finally {
        this.#library.free('ov_tensor_free', tensor);
      }
    }
    return this.#outputs;
  }

  /** Frees everything, in reverse order of creation. Idempotent. */
  free(): void {
    for (const [free, handle] of this.#owned.splice(0).reverse()) this.#library.free(free, handle);
  }

  #inputCount(compiled: Handle): number {
    const count: [number] = [0];
    this.#library.call('ov_compiled_model_inputs_size', compiled, count);
    return count[0];
  }

  #bindOutput(compiled: Handle, name: string): void {
    const port = this.#library.make('ov_compiled_model_output_by_name', compiled, name);
    try {
      const { type, dims } = this.#library.port(port);
      if (!isStatic(dims)) {
        this.#dynamicNames.push(name);
        return;
      }
      const data = memoryOf(
        type,
        dims.reduce((product, dim) => product * dim, 1),
      );
      this.#outputs.set(name, { data, dims });
      this.#bind(name, this.#library.tensorOver(data, type, dims));
    } finally {
      this.#library.free('ov_output_const_port_free', port);
    }
  }

  #bind(name: string, tensor: Handle): void {
    this.#own('ov_tensor_free', tensor);
    this.#library.call('ov_infer_request_set_tensor', this.#request, name, tensor);
  }

  #own(free: FreeFunction, handle: Handle): Handle {
    this.#owned.push([free, handle]);
    return handle;
  }
}

function isStatic(dims: (number | null)[]): dims is number[] {
  return !dims.includes(null);
}
