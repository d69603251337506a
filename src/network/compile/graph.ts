import { unsupported } from './refusals.ts';

/**
 * Element types that the compiler supports, by the project's own names: bytes of a number, and the number of the type in the files of ONNX
 * and of TensorFlow.
 */
export const ELEMENTS = {
  f32: { bytes: 4, onnx: 1, tensorflow: 1 },
  f64: { bytes: 8, onnx: 11, tensorflow: 2 },
  f16: { bytes: 2, onnx: 10, tensorflow: 19 },
  u8: { bytes: 1, onnx: 2, tensorflow: 4 },
  u16: { bytes: 2, onnx: 4, tensorflow: 17 },
  u32: { bytes: 4, onnx: 12, tensorflow: 22 },
  u64: { bytes: 8, onnx: 13, tensorflow: 23 },
  i8: { bytes: 1, onnx: 3, tensorflow: 6 },
  i16: { bytes: 2, onnx: 5, tensorflow: 5 },
  i32: { bytes: 4, onnx: 6, tensorflow: 3 },
  i64: { bytes: 8, onnx: 7, tensorflow: 9 },
  bool: { bytes: 1, onnx: 9, tensorflow: 10 },
} as const;
export type ElementType = keyof typeof ELEMENTS;

/** A constant: row-major, little-endian bytes. Immutable; passes create new ones. */
export interface Tensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensor'; readonly value: Tensor };

/** One operation. Operators and attributes are those of the graph's ONNX operator set. */
export interface GraphNode {
  /** `domain:operator` for operators of other domains, so that no pass confuses them with the standard operator. */
  readonly op: string;
  readonly name: string;
  readonly domain: string;
  /** Names of values or constants; an empty name is an omitted optional input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

/** An input or output of the graph; a dimension is a size, or the name of a free dimension. */
export interface GraphValue {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly (number | string)[];
}

/** A network: all formats are imported to and emitted from this. Nodes are in topological order. */
export interface Graph {
  readonly name: string;
  readonly opset: number;
  /** Versions of other operator sets, by domain. */
  readonly domains?: ReadonlyMap<string, number>;
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  readonly nodes: readonly GraphNode[];
  readonly constants: ReadonlyMap<string, Tensor>;
}

export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Creates an f32 constant; `values` is copied. */
export function f32Tensor(dims: readonly number[], values: ArrayLike<number>): Tensor {
  return { type: 'f32', dims, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

/**
 * The largest number that is a 64-bit integer. The largest such integer, which means "to the end" in slices, is rounded up to 2^63
 * as a number, and that would wrap to the smallest integer when it is written again.
 */
export const LARGEST_INT64 = 2 ** 63 - 1024;

/** Creates an i64 constant, the type of shapes and axes in ONNX. */
export function i64Tensor(dims: readonly number[], values: readonly number[]): Tensor {
  const integers = BigInt64Array.from(values, (value) => BigInt(Math.min(value, LARGEST_INT64)));
  return { type: 'i64', dims, bytes: new Uint8Array(integers.buffer) };
}

/** Copies the numbers of an f32 constant. Throws COMPILE_UNSUPPORTED for another type. */
export function f32Values(tensor: Tensor, name: string): Float32Array<ArrayBuffer> {
  if (tensor.type !== 'f32') {
    throw unsupported(`${name}: expected an f32 constant, received ${tensor.type}`);
  }
  return new Float32Array(Uint8Array.from(tensor.bytes).buffer);
}

/** Copies the numbers of an i32 or i64 constant. Throws COMPILE_UNSUPPORTED for another type. */
export function intValues(tensor: Tensor, name: string): number[] {
  const bytes = Uint8Array.from(tensor.bytes).buffer;
  if (tensor.type === 'i32') return Array.from(new Int32Array(bytes));
  if (tensor.type === 'i64') return Array.from(new BigInt64Array(bytes), Number);
  throw unsupported(`${name}: expected an integer constant, received ${tensor.type}`);
}
