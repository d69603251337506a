import type { Attribute, Graph, GraphNode, Tensor } from '../graph.ts';
import { widenTensor } from '../half.ts';
import { ONNX_ELEMENT_TYPES } from '../onnx/onnx-numbers.ts';

/** Attributes that set the element type of a result. */
const TYPE_ATTRIBUTES: ReadonlySet<string> = new Set(['to', 'dtype', 'output_dtype']);

/**
 * Converts a network that was published in half precision to f32: weights, inputs, outputs and casts. Results are the same or more
 * exact, all other passes work on it, and `toHalf` can convert it back. (On CPUs ONNX Runtime computes halves in f32 too.)
 *
 * Returns a graph without halves unchanged.
 */
export function widenHalf(graph: Graph): Graph {
  const isHalf = ({ type }: { readonly type: string }) => type === 'f16';
  const castsToHalf = (node: GraphNode) =>
    node.domain === '' && [...node.attributes].some(([name, a]) => isToHalf(name, a));
  const values = [...graph.inputs, ...graph.outputs, ...graph.constants.values()];
  if (!values.some(isHalf) && !graph.nodes.some(castsToHalf)) return graph;
  const widen = <T extends { readonly type: Tensor['type'] }>(value: T): T =>
    isHalf(value) ? { ...value, type: 'f32' } : value;
  return {
    ...graph,
    inputs: graph.inputs.map(widen),
    outputs: graph.outputs.map(widen),
    constants: new Map(Array.from(graph.constants, ([name, tensor]) => [name, widenTensor(tensor)])),
    nodes: graph.nodes.map((node) => ({
      ...node,
      attributes: new Map(Array.from(node.attributes, ([name, value]) => [name, widenAttribute(node, name, value)])),
    })),
  };
}

function isToHalf(name: string, attribute: Attribute): boolean {
  return TYPE_ATTRIBUTES.has(name) && attribute.kind === 'int' && attribute.value === ONNX_ELEMENT_TYPES.f16;
}

function widenAttribute({ domain }: GraphNode, name: string, attribute: Attribute): Attribute {
  if (attribute.kind === 'tensor') return { kind: 'tensor', value: widenTensor(attribute.value) };
  return domain === '' && isToHalf(name, attribute) ? { kind: 'int', value: ONNX_ELEMENT_TYPES.f32 } : attribute;
}
