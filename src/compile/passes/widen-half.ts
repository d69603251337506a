import type { Attribute, Graph, GraphNode, Tensor } from '../graph.ts';
import { widenTensor } from '../half.ts';
import { ONNX_ELEMENT_TYPES } from '../onnx/onnx-numbers.ts';

/** Attributes that name the element type of a result. */
const TYPE_ATTRIBUTES: ReadonlySet<string> = new Set(['to', 'dtype', 'output_dtype']);

/**
 * Turns a network that was published in half precision into one of f32: weights, inputs, outputs and casts. Numbers are the
 * same or nearer to the real ones, every other pass can work on it, and what precision it runs in is then chosen by
 * `toHalf`. (On CPUs ONNX Runtime computes halves in f32 too.)
 *
 * A graph without halves is returned as it is.
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
