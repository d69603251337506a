import { intOf } from '../attributes.ts';
import type { Graph, GraphNode } from '../graph.ts';

/** Operators whose result has the same channels as their first input. */
const KEEPERS: ReadonlySet<string> = new Set([
  ...['Relu', 'LeakyRelu', 'Clip', 'Sigmoid', 'Tanh', 'HardSigmoid', 'Identity', 'Cast'],
  ...['MaxPool', 'AveragePool', 'Resize'],
]);

/** Derives the number of channels of each value [n, channels, ...] from the convolutions; other values are left out. */
export function traceChannels(graph: Graph): ReadonlyMap<string, number> {
  const channels = new Map<string, number>();
  for (const node of graph.nodes) {
    const count = channelsOf(graph, node, channels);
    if (count !== undefined) channels.set(node.outputs[0]!, count);
  }
  return channels;
}

function channelsOf(graph: Graph, node: GraphNode, known: ReadonlyMap<string, number>): number | undefined {
  const counts = node.inputs.map((name) => known.get(name));
  if (node.op === 'Conv') return graph.constants.get(node.inputs[1]!)?.dims[0];
  if (KEEPERS.has(node.op)) return counts[0];
  // Only if both are known to be pictures: a constant could be broadcast over channels.
  if (node.op === 'Add' || node.op === 'Mul') return counts[0] === counts[1] ? counts[0] : undefined;
  if (node.op !== 'Concat' || intOf(node, 'axis', 0) !== 1) return undefined;
  return counts.reduce((sum, count) => (sum === undefined || count === undefined ? undefined : sum + count), 0);
}
