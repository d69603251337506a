import { floatOf, intOf } from '../attributes.ts';
import type { ElementType, GraphNode } from '../graph.ts';
import { ELEMENT_TYPES } from '../onnx/onnx-numbers.ts';
import { broadcastDims, type Dim } from './dims.ts';
import { type Emission, type EmissionRule, elementsOf, identityOrder, type Value } from './emission.ts';

/** Rule for an operator with one input and the same meaning in TensorFlow, whose only attribute is the type. */
export function unary(op: string): EmissionRule {
  return (emission, node) => {
    const value = emission.input(node, 0);
    const reference = emission.node(node, op, [value.reference], { T: value.type });
    return [{ ...value, reference }];
  };
}

/** Rule for an operator with two inputs and broadcasting. */
export function binary(op: string, opForIntegers = op): EmissionRule {
  return (emission, node) => {
    if (node.inputs.length !== 2) throw emission.unsupported(node, `it has ${node.inputs.length} inputs, not 2`);
    const { type, dims, order, references } = alignOperands(emission, node, [0, 1]);
    const isInteger = type !== 'f32' && type !== 'f16' && type !== 'f64';
    const reference = emission.node(node, isInteger ? opForIntegers : op, references, { T: type });
    return [{ reference, type, dims, order }];
  };
}

/** Brings operands into the same axis order: that of the largest one, so that only smaller ones are transposed. */
export function alignOperands(
  emission: Emission,
  node: GraphNode,
  operands: readonly number[],
): Omit<Value, 'reference'> & { references: string[] } {
  const shapes = operands.map((index) => emission.shapeOf(node, index));
  const dims = shapes.reduce<Dim[]>((all, shape) => broadcastDims(all, shape.dims), []);
  const full = shapes
    .filter((value) => value.order !== undefined && value.dims.length === dims.length)
    .sort((a, b) => elementsOf(b.dims) - elementsOf(a.dims))[0];
  const order = full?.order ?? identityOrder(dims.length);
  const references = operands.map((index) => emission.operand(node, index, order));
  return { type: shapes[0]!.type, dims, order, references };
}

/** Pow; emitted as a square if the exponent is 2. */
export const emitPow: EmissionRule = (emission, node) => {
  if (emission.scalar(node, 1) === 2) return unary('Square')(emission, node);
  return binary('Pow')(emission, node);
};

/** Clip; emitted as Relu or Relu6 if the bounds match, because TensorFlow fuses them. */
export const emitClip: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const bounds = ['min', 'max'].map((name, side) => {
    // Before operator set 11 the bounds are attributes.
    if (node.attributes.has(name)) return floatOf(node, name, 0);
    return node.inputs[side + 1] ? emission.scalar(node, side + 1) : null;
  });
  const [low, high] = bounds as [number | null | undefined, number | null | undefined];
  if (low === undefined || high === undefined) throw emission.unsupported(node, 'its bounds are not constant numbers');
  const type = { T: value.type };
  if (low === 0 && high === 6) return [{ ...value, reference: emission.node(node, 'Relu6', [value.reference], type) }];
  let { reference } = value;
  if (low === 0) reference = emission.node(node, 'Relu', [reference], type, '/low');
  else if (low !== null) {
    const bound = emission.number(`${node.name}/low-bound`, value.type, low!);
    reference = emission.node(node, 'Maximum', [reference, bound], type, '/low');
  }
  if (high !== null) {
    const bound = emission.number(`${node.name}/high-bound`, value.type, high!);
    reference = emission.node(node, 'Minimum', [reference, bound], type, '/high');
  }
  return [{ ...value, reference }];
};

/** Mod of integers: the result has the sign of the divisor, or of the dividend (as in C) if `fmod` is set. */
export const emitMod: EmissionRule = (emission, node) =>
  binary(intOf(node, 'fmod', 0) === 1 ? 'TruncateMod' : 'FloorMod')(emission, node);

export const emitCast: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const type = ELEMENT_TYPES.get(intOf(node, 'to', 0));
  if (type === undefined) throw emission.unsupported(node, `it casts to element type ${intOf(node, 'to', 0)}`);
  return [cast(emission, value, type, node.name)];
};

/** Casts a value to another element type. */
export function cast(emission: Emission, value: Value, type: ElementType, name: string): Value {
  if (value.type === type) return value;
  const reference = emission.builder.node('Cast', name, [value.reference], { SrcT: value.type, DstT: type });
  return { ...value, type, reference };
}

export const emitLeakyRelu: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const attributes = { T: value.type, alpha: { float: floatOf(node, 'alpha', 0.01) } };
  return [{ ...value, reference: emission.node(node, 'LeakyRelu', [value.reference], attributes) }];
};

/** Softmax along any axis: moves the axis to the end in memory, as TensorFlow requires. */
export const emitSoftmax: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const rank = value.dims.length;
  const isOld = emission.graph.opset < 13;
  const axis = (intOf(node, 'axis', isOld ? 1 : -1) + rank) % rank;
  if (isOld && axis !== rank - 1)
    throw emission.unsupported(node, 'before operator set 13 it covers several axes at once');
  const arranged = emission.arranged(value, [...value.order.filter((other) => other !== axis), axis]);
  return [{ ...arranged, reference: emission.node(node, 'Softmax', [arranged.reference], { T: value.type }) }];
};
