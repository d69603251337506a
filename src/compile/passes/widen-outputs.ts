import type { Graph, GraphNode } from '../graph.ts';
import { ONNX_ELEMENT_TYPES } from '../onnx/emit-onnx.ts';

/** Casts outputs of f16 and f64 to f32, the one floating-point type that decoders read. */
export function widenOutputs(graph: Graph): Graph {
  const others = graph.outputs.filter(({ type }) => type === 'f16' || type === 'f64');
  if (others.length === 0) return graph;
  const narrow = new Set(others.map(({ name }) => name));
  const rename = (name: string) => (narrow.has(name) ? `${name}/published` : name);
  const casts = others.map(
    ({ name }): GraphNode => ({
      op: 'Cast',
      name: `${name}/cast`,
      domain: '',
      inputs: [rename(name)],
      outputs: [name],
      attributes: new Map([['to', { kind: 'int', value: ONNX_ELEMENT_TYPES.f32 }]]),
    }),
  );
  const nodes = graph.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
  }));
  return {
    ...graph,
    nodes: [...nodes, ...casts],
    outputs: graph.outputs.map((output) => (narrow.has(output.name) ? { ...output, type: 'f32' } : output)),
  };
}
