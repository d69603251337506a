import type { EngineShare } from '../../../wire/protocol/threads.ts';
import { FRAMES } from './infer-request.ts';
import type { Handle, OpenvinoLibrary } from './library.ts';

/**
 * A core and the models that it compiled, one for each batch size: a static shape costs a compilation of 0.2 to 0.5 s and saves 5 to
 * 30 % of every call compared with a free batch (docs/adr/0016). Threads of one process can share them; each makes requests of its own.
 */
export class CompiledModels {
  readonly core: Handle;
  readonly #library: OpenvinoLibrary;
  readonly #compiled: Map<number, Handle>;
  readonly #users: SharedArrayBuffer;
  /** As read from the file, until `keepOnly`. */
  #source: Handle | null = null;
  #hasLeft = false;

  private constructor(library: OpenvinoLibrary, { core, compiled, users }: EngineShare) {
    this.#library = library;
    this.core = core;
    this.#compiled = new Map(compiled);
    this.#users = users;
  }

  /** @throws OpenvinoError */
  static create(library: OpenvinoLibrary): CompiledModels {
    const users = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    new Int32Array(users).fill(1);
    return new CompiledModels(library, { core: library.make('ov_core_create'), compiled: new Map(), users });
  }

  /** Uses what another thread compiled; null if the last user has left. */
  static join(library: OpenvinoLibrary, share: EngineShare): CompiledModels | null {
    const users = new Int32Array(share.users);
    for (let count = Atomics.load(users, 0); count > 0; ) {
      const before = Atomics.compareExchange(users, 0, count, count + 1);
      if (before === count) return new CompiledModels(library, share);
      count = before;
    }
    return null;
  }

  /** What other threads pass to `join`. */
  get share(): EngineShare {
    return { core: this.core, compiled: this.#compiled, users: this.#users };
  }

  /** @param dims - of the input `frames`; a mismatch is an error, because OpenVINO would silently adapt the network. */
  read(path: string, dims: readonly (number | null)[]): void {
    this.#source = this.#library.make('ov_core_read_model', this.core, path, null);
    const port = this.#library.make('ov_model_const_input_by_name', this.#source, FRAMES);
    const input = this.#library.port(port);
    this.#library.free('ov_output_const_port_free', port);
    if (input.type !== 'u8' || input.dims.length !== dims.length || input.dims.some((dim, i) => dim !== dims[i]))
      throw new Error(
        `expected ${FRAMES} u8 [${formatDims(dims)}], received ${input.type} [${formatDims(input.dims)}]`,
      );
  }

  /**
   * Compiles the model for the batch size that `dims` begins with, once.
   *
   * @param device - OpenVINO's name of it. @throws OpenvinoError
   */
  compile(
    dims: readonly [batch: number, height: number, width: number, 3],
    device: string,
    properties: Readonly<Record<string, string>>,
  ): Handle {
    const known = this.#compiled.get(dims[0]);
    if (known !== undefined) return known;
    this.#library.reshape(this.#source!, FRAMES, dims);
    const compiled = this.#library.compile(this.core, this.#source!, device, properties);
    this.#compiled.set(dims[0], compiled);
    return compiled;
  }

  /** Checks that the device uses the hint: it can ignore it without an error. */
  requirePrecision(hint: string): void {
    for (const compiled of this.#compiled.values()) {
      const taken = this.#library.text('ov_compiled_model_get_property', compiled, 'INFERENCE_PRECISION_HINT');
      if (taken !== hint) throw new Error(`expected the device to compute in ${hint}, received ${taken}`);
    }
  }

  /** Frees the models of all other batch sizes, and the model as read, which only compiling needs. Before it is shared. */
  keepOnly(sizes: readonly number[]): void {
    for (const [size, compiled] of this.#compiled) {
      if (sizes.includes(size)) continue;
      this.#library.free('ov_compiled_model_free', compiled);
      this.#compiled.delete(size);
    }
    this.#freeSource();
  }

  #freeSource(): void {
    if (this.#source !== null) this.#library.free('ov_model_free', this.#source);
    this.#source = null;
  }

  /** Frees everything if no other thread uses it. Idempotent. A thread that ends without leaving leaks it. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#freeSource();
    if (Atomics.sub(new Int32Array(this.#users), 0, 1) > 1) return;
    for (const compiled of this.#compiled.values()) this.#library.free('ov_compiled_model_free', compiled);
    this.#library.free('ov_core_free', this.core);
  }
}

function formatDims(dims: readonly (number | null)[]): string {
  return dims.map((dim) => dim ?? 'n').join(', ');
}
