import { intOf, intsOf } from '../attributes.ts';
import type { Graph, GraphNode } from '../graph.ts';
import { GraphIndex } from '../graph-index.ts';
import { alignChannels } from './align-channels.ts';
import { delayEnlargements } from './delay-enlargements.ts';
import { foldScalars } from './fold-scalars.ts';
import { keepBlocked } from './keep-blocked.ts';

/**
 * Optimises a graph for speed; results change only by f32 rounding.
 *
 * @param isArranged - see `NetworkForm`: the passes for ONNX Runtime's blocked channel layout. TensorFlow and OpenVINO fuse operators
 * after a convolution themselves; OpenVINO on one thread is 6 to 9 % faster without those passes.
 */
export function optimise(graph: Graph, isArranged: boolean): Graph {
  const folded = foldScalars(graph);
  return isArranged ? alignChannels(delayEnlargements(cascadePools(splitRelus(keepBlocked(folded))))) : folded;
}

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

/**
 * Turns max-pools of one value with increasing kernels, as in spatial pyramid pooling (5, 9 and 13), into a chain: the maximum of
 * a window of 9 is the maximum of 5 by 5 windows of 5. Results are bit-identical, also at the border, because a clipped window
 * is the union of clipped windows. Measured on one thread: YOLOX-nano at 480x256, 0.11 to 0.04 ms.
 *
 * Only for pools of stride 1 that keep the picture size.
 */
export function cascadePools(graph: Graph): Graph {
  const families = new Map<string, GraphNode[]>();
  for (const node of graph.nodes) {
    const input = node.inputs[0]!;
    if (centredKernel(node) !== null) families.set(input, [...(families.get(input) ?? []), node]);
  }
  const chains = new Map<GraphNode, GraphNode[]>();
  for (const pools of families.values()) {
    // The whole chain takes the place of its first pool, so that every link comes before its consumers.
    for (const pool of pools) chains.set(pool, []);
    chains.set(pools[0]!, chain(pools));
  }
  return { ...graph, nodes: graph.nodes.flatMap((node) => chains.get(node) ?? [node]) };
}

function chain(pools: readonly GraphNode[]): GraphNode[] {
  const rising = pools.toSorted((a, b) => centredKernel(a)! - centredKernel(b)!);
  return rising.map((pool, at) => {
    const smaller = rising[at - 1];
    if (smaller === undefined) return pool;
    const radius = (centredKernel(pool)! - centredKernel(smaller)!) / 2;
    const attributes = new Map(pool.attributes)
      .set('kernel_shape', { kind: 'ints', value: [2 * radius + 1, 2 * radius + 1] })
      .set('pads', { kind: 'ints', value: [radius, radius, radius, radius] });
    return { ...pool, inputs: [smaller.outputs[0]!], attributes };
  });
}

/** Returns the kernel side of a max-pool that keeps the picture size; null for anything else. */
function centredKernel(node: GraphNode): number | null {
  if (node.op !== 'MaxPool' || node.outputs.length !== 1 || node.attributes.has('auto_pad')) return null;
  const [side, ...others] = intsOf(node, 'kernel_shape', []);
  if (side === undefined || side % 2 === 0 || others.length !== 1 || others[0] !== side) return null;
  const isWhole = intsOf(node, 'pads', [0, 0, 0, 0]).every((pad) => pad === (side - 1) / 2);
  const isDense = ['strides', 'dilations'].every((name) => intsOf(node, name, [1, 1]).every((step) => step === 1));
  return isWhole && isDense && intOf(node, 'ceil_mode', 0) === 0 ? side : null;
}
