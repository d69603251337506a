import { intOf } from '../attributes.ts';
import type { ElementType, Graph, GraphNode } from '../graph.ts';
import { ELEMENT_TYPES } from '../onnx/onnx-numbers.ts';

/** Operators with a fixed result type. */
const RESULT_TYPES: Readonly<Record<string, ElementType>> = {
  Shape: 'i64',
  Equal: 'bool',
  Greater: 'bool',
  Less: 'bool',
  ArgMax: 'i64',
  ArgMin: 'i64',
  NonZero: 'i64',
  Size: 'i64',
  NonMaxSuppression: 'i64',
  ...Object.fromEntries(
    ['GreaterOrEqual', 'LessOrEqual', 'And', 'Or', 'Xor', 'Not', 'IsNaN', 'IsInf'].map((op) => [op, 'bool']),
  ),
  MatMulInteger: 'i32',
  ConvInteger: 'i32',
};

/** Operators whose result has the type of an input other than the first. */
const TYPED_BY: Readonly<Record<string, number>> = { Where: 1, DequantizeLinear: 1, CastLike: 1, OneHot: 2 };

/** Finds the element type of every value of a graph. By default an operator's result has the type of its first input. */
export function traceElements(graph: Graph): ReadonlyMap<string, ElementType> {
  const types = new Map<string, ElementType>();
  for (const { name, type } of graph.inputs) types.set(name, type);
  for (const [name, { type }] of graph.constants) types.set(name, type);
  for (const node of graph.nodes) {
    for (const [index, output] of node.outputs.entries()) types.set(output, resultType(node, index, types));
  }
  return types;
}

function resultType(node: GraphNode, index: number, types: ReadonlyMap<string, ElementType>): ElementType {
  if (node.op === 'Cast') return ELEMENT_TYPES.get(intOf(node, 'to', 0)) ?? 'f32';
  if (node.op === 'TopK' && index === 1) return 'i64';
  if (node.op === 'ConstantOfShape') {
    const value = node.attributes.get('value');
    return value?.kind === 'tensor' ? value.value.type : 'f32';
  }
  if (node.op === 'DynamicQuantizeLinear') return index === 1 ? 'f32' : 'u8';
  if (node.op === 'QuantizeLinear') {
    const stated = ELEMENT_TYPES.get(intOf(node, 'output_dtype', 0));
    return types.get(node.inputs[2] ?? '') ?? stated ?? 'u8';
  }
  const data = TYPED_BY[node.op] ?? 0;
  return RESULT_TYPES[node.op] ?? types.get(node.inputs[data] ?? '') ?? 'f32';
}
