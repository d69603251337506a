import { SightlineError } from '../../../base/errors/sightline-error.ts';
import {
  type ElementType,
  elementCount,
  f32Tensor,
  type Graph,
  type GraphNode,
  i64Tensor,
  intValues,
  type Tensor,
} from '../graph.ts';
import { floatToHalf, floatValues, toHalfTensor } from '../half.ts';
import { permuteTensor } from '../permute.ts';
import { invalid } from '../refusals.ts';
import { type Dim, isFree, productOf, sizeOf } from './dims.ts';
import { type AttributeInput, GraphDefBuilder } from './graph-def-builder.ts';

/** A value of the network and its memory layout in the emitted graph. */
export interface Value {
  readonly reference: string;
  readonly type: ElementType;
  /** Sizes, with axes in the order of the ONNX graph. */
  readonly dims: readonly Dim[];
  /** Axis `i` in memory is axis `order[i]` of the ONNX value: [0, 2, 3, 1] is an N, C, H, W picture stored as N, H, W, C. */
  readonly order: readonly number[];
}

/** Integers that are known at compile time: constants, shapes, and values computed from them. */
export interface KnownIntegers {
  readonly known: readonly Dim[];
  readonly isScalar: boolean;
}

/** Emits a node and returns one result for each of its outputs. */
export type EmissionRule = (emission: Emission, node: GraphNode) => readonly (Value | KnownIntegers)[];

/** Axis order of pictures for TensorFlow's kernels. */
export const NHWC: readonly number[] = [0, 2, 3, 1];

/**
 * Converts an ONNX graph to TensorFlow nodes, starting at the input.
 *
 * Layout: TensorFlow's CPU kernels for convolutions and pools require N, H, W, C. Every value stores the memory order of its axes,
 * and a transpose of the ONNX graph only renames axes. A `Transpose` is emitted only if an operator needs another order, once for
 * each value and order; there is none between convolutions.
 */
export class Emission {
  readonly builder = new GraphDefBuilder();
  readonly graph: Graph;
  readonly #results = new Map<string, Value | KnownIntegers>();
  readonly #arranged = new Map<string, string>();
  readonly #constants = new Map<string, string>();

  constructor(graph: Graph) {
    this.graph = graph;
  }

  setResult(name: string, result: Value | KnownIntegers): void {
    this.#results.set(name, result);
  }

  /** Returns the value with this name; a constant is emitted at its first use. */
  value(name: string): Value {
    const result = this.#results.get(name);
    if (result !== undefined) return 'known' in result ? this.#writeKnown(name, result) : result;
    const tensor = this.graph.constants.get(name);
    if (tensor === undefined) throw invalid(`the graph has no value ${name}`);
    return plainValue(this.#writeConstant(name, tensor, ''), tensor.type, tensor.dims);
  }

  input(node: GraphNode, index: number): Value {
    return this.value(this.inputName(node, index));
  }

  inputName(node: GraphNode, index: number): string {
    const name = node.inputs[index];
    if (name === undefined || name === '') throw this.unsupported(node, `it has no input ${index}`);
    return name;
  }

  /** Returns the tensor of a constant input. Throws if it is computed at run time. */
  constant(node: GraphNode, index: number): Tensor {
    const tensor = this.graph.constants.get(this.inputName(node, index));
    if (tensor === undefined) throw this.unsupported(node, `input ${index} is not a constant`);
    return tensor;
  }

  /** Returns integers that are known at compile time; undefined if they are computed at run time. */
  known(name: string): KnownIntegers | undefined {
    const result = this.#results.get(name);
    if (result !== undefined) return 'known' in result ? result : undefined;
    const tensor = this.graph.constants.get(name);
    if (tensor === undefined || (tensor.type !== 'i64' && tensor.type !== 'i32') || tensor.dims.length > 1)
      return undefined;
    return { known: intValues(tensor, name), isScalar: tensor.dims.length === 0 };
  }

  /** Returns the numbers of a constant input. */
  floats(node: GraphNode, index: number): Float32Array {
    return floatValues(this.constant(node, index), node.name);
  }

  /** Returns known integers. Throws if they depend on the batch. */
  integers(node: GraphNode, index: number): number[] {
    return this.knownInput(node, index).map((dim) => {
      if (isFree(dim)) throw this.unsupported(node, `input ${index} depends on the batch`);
      return dim;
    });
  }

  knownInput(node: GraphNode, index: number): readonly Dim[] {
    const known = this.known(this.inputName(node, index));
    if (known === undefined) throw this.unsupported(node, `input ${index} is not known at compile time`);
    return known.known;
  }

  /** Returns the sizes of the axes. Throws if an axis other than the first depends on the batch. */
  sizes(node: GraphNode, value: Value): number[] {
    return value.dims.map((dim, axis) => {
      if (isFree(dim) && axis > 0) throw this.unsupported(node, `axis ${axis} depends on the batch`);
      return sizeOf(dim);
    });
  }

  /** Returns a value with its axes in this order in memory. */
  arranged(value: Value, order: readonly number[]): Value {
    if (order.every((axis, index) => axis === value.order[index])) return value;
    const key = `${value.reference}>${value.order}>${order}`;
    const known = this.#arranged.get(key);
    if (known !== undefined) return { ...value, reference: known, order };
    const permutation = order.map((axis) => value.order.indexOf(axis));
    const name = value.reference.replace(/:\d+$/, '');
    const inputs = [value.reference, this.integerVector(`${name}/order`, permutation)];
    const reference = this.builder.node('Transpose', `${name}/arranged`, inputs, { T: value.type, Tperm: 'i32' });
    this.#arranged.set(key, reference);
    return { ...value, reference, order };
  }

  /** Returns a value with its axes in the order of the ONNX graph. */
  plain(value: Value): Value {
    return this.arranged(value, identityOrder(value.dims.length));
  }

  /** Returns the shape of an input. Constants have no axis order: they are transposed at compile time as needed. */
  shapeOf(
    node: GraphNode,
    index: number,
  ): Omit<Value, 'reference' | 'order'> & { order: readonly number[] | undefined } {
    const name = this.inputName(node, index);
    const tensor = this.graph.constants.get(name);
    return tensor === undefined ? this.value(name) : { type: tensor.type, dims: tensor.dims, order: undefined };
  }

  /** Returns the reference of an input of full rank with its axes in this order. */
  arrangedInput(node: GraphNode, index: number, order: readonly number[]): string {
    const name = this.inputName(node, index);
    const tensor = this.graph.constants.get(name);
    if (tensor === undefined) return this.arranged(this.value(name), order).reference;
    return this.#writeConstant(name, permuteTensor(tensor, order), `/${order.join('')}`);
  }

  /** Returns the reference of an operand of an element-wise operation whose result has its axes in this order. */
  operand(node: GraphNode, index: number, order: readonly number[]): string {
    const name = this.inputName(node, index);
    const tensor = this.graph.constants.get(name);
    const { dims } = this.shapeOf(node, index);
    // Missing axes are added in front; a scalar needs none.
    const stretched = [...new Array<Dim>(order.length - dims.length).fill(1), ...dims];
    if (tensor !== undefined) {
      if (elementCount(tensor.dims) === 1) return this.#writeConstant(name, { ...tensor, dims: [] }, '/scalar');
      const full = permuteTensor({ ...tensor, dims: stretched as number[] }, order);
      return this.#writeConstant(name, full, `/${order.join('')}`);
    }
    const value = this.value(name);
    if (dims.length === order.length) return this.arranged(value, order).reference;
    if (dims.length === 0) return value.reference;
    const reshaped = this.reshaped(this.plain(value), stretched, `${node.name}/operand-${index}`);
    return this.arranged(reshaped, order).reference;
  }

  /** Returns the number in a constant with one element; undefined for anything else. */
  scalar(node: GraphNode, index: number): number | undefined {
    const name = this.inputName(node, index);
    const tensor = this.graph.constants.get(name);
    if (tensor === undefined || elementCount(tensor.dims) !== 1) return undefined;
    if (tensor.type === 'i32' || tensor.type === 'i64') return intValues(tensor, name)[0];
    return floatValues(tensor, name)[0];
  }

  /** Reshapes a value whose axes are in the order of the ONNX graph. */
  reshaped(value: Value, dims: readonly Dim[], name: string): Value {
    const sizes = dims.map(sizeOf);
    const inputs = [value.reference, this.integerVector(`${name}/shape`, sizes)];
    const reference = this.builder.node('Reshape', name, inputs, { T: value.type, Tshape: 'i32' });
    return plainValue(reference, value.type, dims);
  }

  /** Emits a node for a rule, named after the ONNX node. */
  node(
    node: GraphNode,
    op: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeInput>,
    suffix = '',
  ): string {
    return this.builder.node(op, `${node.name}${suffix}`, inputs, attributes);
  }

  /**
   * Emits a gather along an axis, and returns its reference.
   *
   * @param place - of the axis in memory.
   */
  gather(
    node: GraphNode,
    { reference, type }: Value,
    indices: Value,
    place: number,
    more: { readonly batch_dims?: number } = {},
  ): string {
    const axis = this.integerScalar(`${node.name}/axis`, place);
    const types = { Tparams: type, Tindices: indices.type, Taxis: 'i32' };
    return this.node(node, 'GatherV2', [reference, indices.reference, axis], { ...types, ...more });
  }

  /** Emits an i32 list, the type of axes and shapes in TensorFlow. */
  integerVector(name: string, values: readonly number[]): string {
    return this.builder.constant(name, i32Tensor([values.length], values));
  }

  integerScalar(name: string, value: number): string {
    return this.builder.constant(name, i32Tensor([], [value]));
  }

  integerTable(name: string, dims: readonly number[], values: readonly number[]): string {
    return this.builder.constant(name, i32Tensor(dims, values));
  }

  /** Emits numbers in the element type of the values they are combined with. */
  floatTable(name: string, type: ElementType, dims: readonly number[], values: Float32Array): string {
    const table = f32Tensor(dims, values);
    return this.builder.constant(name, type === 'f16' ? toHalfTensor(table, name) : table);
  }

  /** Emits a shape as an i64 list; sizes that depend on the batch are computed from the shape of `frames`. */
  shapeReference(dims: readonly Dim[], name: string): string {
    return this.#writeKnown(name, { known: dims, isScalar: false }).reference;
  }

  /** Emits a number in the element type of the values it is combined with. */
  number(name: string, type: ElementType, value: number): string {
    return this.builder.constant(name, numberTensor(type, value));
  }

  unsupported(node: GraphNode, reason: string): SightlineError {
    return new SightlineError(
      'COMPILE_UNSUPPORTED',
      `operator ${node.op} of node ${node.name} cannot be written for tensorflow: ${reason}`,
      { operator: node.op, node: node.name },
    );
  }

  #writeConstant(name: string, tensor: Tensor, suffix: string): string {
    const key = `${name}${suffix}`;
    const known = this.#constants.get(key) ?? this.builder.constant(key, tensor);
    this.#constants.set(key, known);
    return known;
  }

  #writeKnown(name: string, { known, isScalar }: KnownIntegers): Value {
    const dims = isScalar ? [] : [known.length];
    const fixed = known.filter((dim) => !isFree(dim)) as number[];
    if (fixed.length === known.length) {
      return plainValue(this.#writeConstant(name, i64Tensor(dims, fixed), ''), 'i64', dims);
    }
    const elements = known.map((dim, index) => this.#writeDim(`${name}/${index}`, dim));
    const reference = isScalar
      ? elements[0]!
      : this.builder.node('Pack', name, elements, { N: elements.length, T: 'i64', axis: 0 });
    return plainValue(reference, 'i64', dims);
  }

  /** Emits a size as an i64 scalar; if it depends on the batch, it is computed from the shape of `frames`. */
  #writeDim(name: string, dim: Dim): string {
    if (!isFree(dim)) return this.builder.constant(name, i64Tensor([], [dim]));
    const frames = this.value(this.graph.inputs[0]!.name).reference;
    const shape = this.builder.node('Shape', `${name}/frames`, [frames], { T: 'u8', out_type: 'i64' });
    const range = [0, 1, 1].map((value, index) => this.integerVector(`${name}/range-${index}`, [value]));
    const batch = this.builder.node('StridedSlice', `${name}/batch`, [shape, ...range], {
      T: 'i64',
      Index: 'i32',
      shrink_axis_mask: 1,
    });
    const factor = this.builder.constant(`${name}/batches`, i64Tensor([], [dim.batches]));
    return this.builder.node('Mul', name, [batch, factor], { T: 'i64' });
  }
}

export function plainValue(reference: string, type: ElementType, dims: readonly Dim[]): Value {
  return { reference, type, dims, order: identityOrder(dims.length) };
}

export function identityOrder(rank: number): number[] {
  return Array.from({ length: rank }, (_, axis) => axis);
}

/** Resolves negative axes: -1 is the last axis. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Returns the number of elements of a shape, only for comparing sizes. */
export function elementsOf(dims: readonly Dim[]): number {
  const product = productOf(dims);
  return product === null ? Number.POSITIVE_INFINITY : isFree(product) ? product.batches : product;
}

function numberTensor(type: ElementType, value: number): Tensor {
  const dims: readonly number[] = [];
  if (type === 'f32') return f32Tensor(dims, [value]);
  if (type === 'f16') return { type, dims, bytes: new Uint8Array(Uint16Array.of(floatToHalf(value)).buffer) };
  if (type === 'i64') return i64Tensor(dims, [value]);
  return i32Tensor(dims, [value]);
}

function i32Tensor(dims: readonly number[], values: readonly number[]): Tensor {
  return { type: 'i32', dims, bytes: new Uint8Array(Int32Array.from(values).buffer) };
}
