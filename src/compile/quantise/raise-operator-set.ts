import { type Graph, type GraphNode, i64Tensor, type Tensor } from '../graph.ts';
import { unsupported } from '../refusals.ts';

/** The first operator set in which weights may have a scale for each channel. */
const NEEDED = 13;
/** In older sets several operators have another meaning than in 13. */
const OLDEST = 11;

/** Operators whose attribute became an input in operator set 13. */
const LISTS: Readonly<Record<string, string>> = {
  Split: 'split',
  Squeeze: 'axes',
  Unsqueeze: 'axes',
  ReduceSum: 'axes',
};

/** Operators that flattened their input before operator set 13, unless they worked on the last axis. */
const FLATTENING: ReadonlySet<string> = new Set(['Softmax', 'LogSoftmax', 'Hardmax']);

/**
 * Rewrites a graph of operator set 11 or 12 for 13, which quantised weights need. Newer graphs are returned as they are.
 *
 * Throws COMPILE_UNSUPPORTED for older graphs, and for a softmax over several axes.
 */
export function raiseOperatorSet(graph: Graph): Graph {
  if (graph.opset >= NEEDED) return graph;
  if (graph.opset < OLDEST)
    throw unsupported(
      `INT8 needs a network of operator set ${OLDEST} or newer, received ${graph.opset}; export it again with a newer one`,
    );
  const constants = new Map<string, Tensor>(graph.constants);
  const nodes = graph.nodes.map((node): GraphNode => {
    if (node.domain !== '') return node;
    if (FLATTENING.has(node.op)) return lastAxisOnly(node);
    const list = LISTS[node.op];
    const attribute = list === undefined ? undefined : node.attributes.get(list);
    if (attribute?.kind !== 'ints') return node;
    const name = `${node.outputs[0]!}/${list}`;
    constants.set(name, i64Tensor([attribute.value.length], attribute.value));
    const attributes = new Map(node.attributes);
    attributes.delete(list!);
    return { ...node, inputs: [...node.inputs, name], attributes };
  });
  return { ...graph, opset: NEEDED, nodes, constants };
}

function lastAxisOnly(node: GraphNode): GraphNode {
  const axis = node.attributes.get('axis');
  if (axis?.kind === 'int' && axis.value === -1) return node;
  throw unsupported(
    `${node.name}: ${node.op} over the axes from ${axis?.kind === 'int' ? axis.value : 1} on has another meaning in operator set ` +
      `${NEEDED}, which INT8 needs; export the network again with operator set ${NEEDED} or newer`,
  );
}
