import { intOf } from '../attributes.ts';
import type { ElementType, Graph, GraphNode } from '../graph.ts';
import { ONNX_ELEMENT_TYPES } from '../onnx/emit-onnx.ts';

const TYPES_BY_NUMBER = new Map(
  Object.entries(ONNX_ELEMENT_TYPES).map(([type, number]) => [number, type as ElementType]),
);

/** Operators whose results have a type of their own. */
const RESULT_TYPES: Readonly<Record<string, ElementType>> = {
  Shape: 'i64',
  Equal: 'bool',
  Greater: 'bool',
  Less: 'bool',
  ArgMax: 'i64',
  NonZero: 'i64',
};

/** Finds the element type of every value of a graph. An operator without a rule of its own gives the type of its first input. */
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
  if (node.op === 'Cast') return TYPES_BY_NUMBER.get(intOf(node, 'to', 0)) ?? 'f32';
  if (node.op === 'TopK' && index === 1) return 'i64';
  const data = node.op === 'Where' ? 1 : 0;
  return RESULT_TYPES[node.op] ?? types.get(node.inputs[data] ?? '') ?? 'f32';
}
