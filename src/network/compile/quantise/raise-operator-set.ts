import { intOf } from '../attributes.ts';
import { type Graph, type GraphNode, i64Tensor, type Tensor } from '../graph.ts';
import { GraphBuilder } from '../graph-builder.ts';
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
 * Throws COMPILE_UNSUPPORTED for older graphs.
 */
export function raiseOperatorSet(graph: Graph): Graph {
  if (graph.opset >= NEEDED) return graph;
  if (graph.opset < OLDEST)
    throw unsupported(
      `INT8 needs a network of operator set ${OLDEST} or newer, received ${graph.opset}; export it again with a newer one`,
    );
  const constants = new Map<string, Tensor>(graph.constants);
  const nodes = graph.nodes.flatMap((node): GraphNode | GraphNode[] => {
    if (node.domain !== '') return node;
    if (FLATTENING.has(node.op)) return flattened(node);
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

/** What the older operator did itself: all axes from one on are one axis, and then themselves again. */
function flattened(node: GraphNode): GraphNode | GraphNode[] {
  const axis = intOf(node, 'axis', 1);
  if (axis === -1) return node;
  const [input, output] = [node.inputs[0]!, node.outputs[0]!];
  const builder = new GraphBuilder(`${output}/`);
  const shape = builder.node('Shape', 'shape', [input]);
  const rows = builder.node('Flatten', 'rows', [input], { axis });
  const scores = builder.node(node.op, 'scores', [rows], { axis: -1 });
  const whole = { op: 'Reshape', name: node.name, domain: '', inputs: [scores, shape], outputs: [output] };
  return [...builder.nodes, { ...whole, attributes: new Map() }];
}
