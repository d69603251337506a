import { createRequire } from 'node:module';
import {
  FREE_SIGNATURES,
  type FreeFunction,
  type NativeCall,
  type NativeTypes,
  nativeTypes,
  SIGNATURES,
  type StatusFunction,
} from './signatures.ts';

type Koffi = typeof import('koffi');

/** A pointer to an object that OpenVINO owns until the matching `ov_*_free` is called. */
export type Handle = bigint;

/** An OpenVINO call failed. The engine turns this into ENGINE_UNAVAILABLE or ENGINE_FAILED. */
export class OpenvinoError extends Error {}

/** Element types of `ov_element_type_e` that inputs and outputs of a compiled network have. */
const ELEMENT_TYPES = { 4: 'f32', 9: 'i32', 10: 'i64', 16: 'u8' } as const;
export type ElementType = (typeof ELEMENT_TYPES)[keyof typeof ELEMENT_TYPES];

const ELEMENT_CODES: Readonly<Record<ElementType, number>> = { f32: 4, i32: 9, i64: 10, u8: 16 };
const C_NAMES = { f32: 'float', i32: 'int32_t', i64: 'int64_t', u8: 'uint8_t' } as const;

type TypedArray = Float32Array | Int32Array | BigInt64Array | Uint8Array;

/**
 * OpenVINO's C API, loaded once per thread. Every status code is checked here, so no caller can forget one. Only C types cross
 * the boundary, so one binding works with every build since `OLDEST`.
 */
export class OpenvinoLibrary {
  readonly #koffi: Koffi;
  readonly #types: NativeTypes;
  readonly #functions: Readonly<Record<StatusFunction, NativeCall>>;
  readonly #frees: Readonly<Record<FreeFunction, NativeCall>>;
  readonly #lastMessage: () => Handle | null;

  private constructor(koffi: Koffi, path: string) {
    const library = koffi.load(path);
    this.#koffi = koffi;
    this.#types = nativeTypes(koffi);
    this.#functions = declare(SIGNATURES, (name, parameters) => library.func(name, 'int', parameters(this.#types)));
    this.#frees = declare(FREE_SIGNATURES, (name, parameters) => library.func(name, 'void', parameters(this.#types)));
    this.#lastMessage = library.func('ov_get_last_err_msg', 'void *', []);
  }

  /** Loads the library once per thread. @throws Error of koffi or of the system's loader, or if the version is too old. */
  static load(path: string): OpenvinoLibrary {
    const known = loaded.get(path);
    if (known !== undefined) return known;
    const library = new OpenvinoLibrary(loadKoffi(), path);
    requireVersion(library.version());
    loaded.set(path, library);
    return library;
  }

  /** Calls a function that returns a status. @throws OpenvinoError with the library's message. */
  call(name: StatusFunction, ...args: unknown[]): void {
    const status = this.#functions[name](...args);
    if (status !== 0) throw new OpenvinoError(`${name}: ${this.#why(status)}`);
  }

  /** Calls a function that writes a handle to its last parameter. @throws OpenvinoError */
  make(name: StatusFunction, ...args: unknown[]): Handle {
    const made: [Handle | null] = [null];
    this.call(name, ...args, made);
    return made[0]!;
  }

  free(name: FreeFunction, what: unknown): void {
    this.#frees[name](what);
  }

  /** Calls a function that writes a string to its last parameter, and frees that string. @throws OpenvinoError */
  text(name: StatusFunction, ...args: unknown[]): string {
    return this.#takeText(this.make(name, ...args));
  }

  /** @throws OpenvinoError */
  version(): string {
    const version = { buildNumber: 0n, description: 0n };
    this.call('ov_get_openvino_version', version);
    const text = this.#textAt(version.buildNumber);
    this.free('ov_version_free', version);
    return text;
  }

  /** @throws OpenvinoError */
  devices(core: Handle): string[] {
    const list = { devices: 0n, size: 0 };
    this.call('ov_core_get_available_devices', core, list);
    const names = Array.from({ length: Number(list.size) }, (_, i) =>
      this.#textAt(this.#koffi.decode(list.devices, i * this.#koffi.sizeof('void *'), 'void *') as Handle),
    );
    this.free('ov_available_devices_free', list);
    return names;
  }

  /** Compiles a model for a device. @throws OpenvinoError */
  compile(core: Handle, model: Handle, device: string, properties: Readonly<Record<string, string>>): Handle {
    const texts = Object.entries(properties).flat();
    const made: [Handle | null] = [null];
    const variadic = texts.flatMap((text) => ['str', text]);
    this.call('ov_core_compile_model', core, model, device, texts.length, made, ...variadic);
    return made[0]!;
  }

  /** Sets a static shape for the input of a model. @throws OpenvinoError */
  reshape(model: Handle, input: string, dims: readonly number[]): void {
    const rank = { min: dims.length, max: dims.length };
    const shape = { rank, dims: dims.map((dim) => ({ min: dim, max: dim })) };
    this.call('ov_model_reshape_input_by_name', model, input, shape);
  }

  /** Creates a tensor over our memory, which must outlive the tensor. @throws OpenvinoError */
  tensorOver(data: TypedArray, type: ElementType, dims: readonly number[]): Handle {
    const shape = { rank: dims.length, dims: [...dims] };
    return this.make('ov_tensor_create_from_host_ptr', ELEMENT_CODES[type], shape, data);
  }

  /** Copies the contents of a tensor. @throws OpenvinoError, also for an element type that is not in `ELEMENT_TYPES`. */
  read(tensor: Handle): { data: TypedArray; dims: number[] } {
    const dims = this.#takeShape('ov_tensor_get_shape', tensor);
    const type = this.#elementType('ov_tensor_get_element_type', tensor);
    const count = dims.reduce((product, dim) => product * dim, 1);
    if (count === 0) return { data: memoryOf(type, 0), dims };
    const data = this.#koffi.decode(this.make('ov_tensor_data', tensor), C_NAMES[type], count);
    return { data: data as TypedArray, dims };
  }

  /** Returns element type and dimensions of a port; null is a free dimension. @throws OpenvinoError */
  port(port: Handle): { type: ElementType; dims: (number | null)[] } {
    const type = this.#elementType('ov_port_get_element_type', port);
    const partial = { rank: { min: 0, max: 0 }, dims: 0n };
    this.call('ov_port_get_partial_shape', port, partial);
    const bounds = this.#bounds(partial);
    this.free('ov_partial_shape_free', partial);
    return { type, dims: bounds.map(({ min, max }) => (min === max ? Number(min) : null)) };
  }

  #bounds({ rank, dims }: { rank: Bounds; dims: Handle }): Bounds[] {
    if (rank.min !== rank.max) throw new OpenvinoError('a port has an unknown number of dimensions');
    const { dimension } = this.#types;
    const step = this.#koffi.sizeof(dimension);
    return Array.from({ length: Number(rank.min) }, (_, i) => this.#koffi.decode(dims, i * step, dimension) as Bounds);
  }

  #takeShape(name: StatusFunction, handle: Handle): number[] {
    const shape = { rank: 0, dims: 0n };
    this.call(name, handle, shape);
    const rank = Number(shape.rank);
    const dims = rank === 0 ? [] : this.#koffi.decode(shape.dims, 'int64_t', rank);
    const numbers = Array.from(dims as BigInt64Array, Number);
    this.call('ov_shape_free', shape);
    return numbers;
  }

  #elementType(name: StatusFunction, handle: Handle): ElementType {
    const code: [number] = [0];
    this.call(name, handle, code);
    const type = ELEMENT_TYPES[code[0] as keyof typeof ELEMENT_TYPES];
    if (type === undefined)
      throw new OpenvinoError(`${name}: expected u8, i32, i64 or f32, received element type ${code[0]}`);
    return type;
  }

  #why(status: number): string {
    const message = this.#lastMessage();
    const text = message === null ? '' : this.#takeText(message);
    return text === '' ? `status ${status}` : `${text.replaceAll(/\s+/g, ' ').trim()} (status ${status})`;
  }

  #takeText(handle: Handle): string {
    const text = this.#textAt(handle);
    this.free('ov_free', handle);
    return text;
  }

  #textAt(handle: Handle): string {
    return this.#koffi.decode.string(handle);
  }
}

interface Bounds {
  readonly min: number | bigint;
  readonly max: number | bigint;
}

/** Declares each function of a table. */
function declare<Name extends string, Parameters>(
  table: Readonly<Record<Name, Parameters>>,
  declareOne: (name: Name, parameters: Parameters) => unknown,
): Record<Name, NativeCall> {
  const entries = Object.entries(table) as [Name, Parameters][];
  return Object.fromEntries(entries.map(([name, parameters]) => [name, declareOne(name, parameters)])) as Record<
    Name,
    NativeCall
  >;
}

/** Older versions number the element types differently. */
const OLDEST = [2025, 2] as const;

function requireVersion(version: string): void {
  const [year = 0, release = 0] = version.split('.').map(Number);
  if (year > OLDEST[0] || (year === OLDEST[0] && release >= OLDEST[1])) return;
  throw new OpenvinoError(`expected OpenVINO ${OLDEST.join('.')} or later, received ${version}`);
}

const loaded = new Map<string, OpenvinoLibrary>();

/** Allocates memory for `count` numbers of an element type. */
export function memoryOf(type: ElementType, count: number): TypedArray {
  switch (type) {
    case 'f32':
      return new Float32Array(count);
    case 'i32':
      return new Int32Array(count);
    case 'i64':
      return new BigInt64Array(count);
    case 'u8':
      return new Uint8Array(count);
  }
}

function loadKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)('koffi') as Koffi;
  } catch (error) {
    throw new Error(
      `the npm package koffi cannot be loaded: ${(error as Error).message}. Install Sightline again, with optional packages`,
      {
        cause: error,
      },
    );
  }
}
