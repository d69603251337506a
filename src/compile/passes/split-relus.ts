import type { Graph, GraphNode } from '../graph.ts';
import { GraphIndex } from '../graph-index.ts';

/**
 * Moves a relu after a concatenation to each of its parts: if a convolution produces the part, the relu is fused into it and costs
 * nothing.
 */
export function splitRelus(graph: Graph): Graph {
  const index = new GraphIndex(graph);
  const splits = new Map<GraphNode, GraphNode[]>();
  for (const relu of graph.nodes) {
    const concat = index.producer(relu.inputs[0]);
    if (relu.op !== 'Relu' || concat?.op !== 'Concat' || index.soleConsumer(concat.outputs[0]!) !== relu) continue;
    const parts = concat.inputs.map((input, part) => {
      const name = `${relu.name}/part-${part}`;
      return { ...relu, name, inputs: [input], outputs: [name] };
    });
    splits.set(concat, [...parts, { ...concat, inputs: parts.map(({ name }) => name), outputs: relu.outputs }]);
    splits.set(relu, []);
  }
  return { ...graph, nodes: graph.nodes.flatMap((node) => splits.get(node) ?? [node]) };
}
