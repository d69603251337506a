import { f32Tensor, f32Values, type Graph, type GraphNode, type Tensor } from '../graph.ts';
import { GraphIndex, removeUnused } from '../graph-index.ts';

/** Limit of sweeps over a graph. Each makes all independent changes; detectors need about ten. */
const MOST_SWEEPS = 100;

/**
 * Folds multiplications and additions of a scalar after a convolution into its weights and bias. A positive factor after a relu or
 * a clip moves before it (the bounds of the clip are scaled). Results differ only by f32 rounding.
 */
export function foldScalars(graph: Graph): Graph {
  let current = graph;
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep += 1) {
    const next = foldOnce(current);
    if (next === null) break;
    current = next;
  }
  return removeUnused(current);
}

/** Replacements of nodes, and the constants that they need. */
interface Change {
  readonly nodes: ReadonlyMap<GraphNode, readonly GraphNode[]>;
  readonly constants: ReadonlyMap<string, Tensor>;
}

/** Makes all changes that do not overlap; null if there is none. */
function foldOnce(graph: Graph): Graph | null {
  const index = new GraphIndex(graph);
  const replaced = new Map<GraphNode, readonly GraphNode[]>();
  const constants = new Map(graph.constants);
  for (const node of graph.nodes) {
    const change = changeAt(index, node);
    if (change === null || [...change.nodes.keys()].some((other) => replaced.has(other))) continue;
    for (const [other, nodes] of change.nodes) replaced.set(other, nodes);
    for (const [name, tensor] of change.constants) constants.set(name, tensor);
  }
  if (replaced.size === 0) return null;
  return { ...graph, constants, nodes: graph.nodes.flatMap((node) => replaced.get(node) ?? [node]) };
}

function changeAt(index: GraphIndex, node: GraphNode): Change | null {
  if (node.op !== 'Mul' && node.op !== 'Add') return null;
  const operand = index.scalarOperand(node);
  const before = index.producer(operand?.other);
  if (operand === undefined || before === undefined || index.soleConsumer(operand.other) !== node) return null;
  if (before.op === 'Conv') return foldIntoConvolution(index, before, node, operand);
  const convolution = index.producer(before.inputs[0]);
  const isAfterConvolution = convolution?.op === 'Conv' && index.soleConsumer(before.inputs[0]!) === before;
  if (node.op !== 'Mul' || operand.scalar <= 0 || !isAfterConvolution) return null;
  return swapActivation(index, before, node, operand.scalar);
}

function foldIntoConvolution(
  index: GraphIndex,
  convolution: GraphNode,
  node: GraphNode,
  { scalar, rank }: { readonly scalar: number; readonly rank: number },
): Change | null {
  const weights = index.constant(convolution.inputs[1]);
  const oldBias = index.constant(convolution.inputs[2]);
  // A computed bias, as in quantised networks, cannot be changed here.
  if (weights?.type !== 'f32' || (convolution.inputs[2] && oldBias?.type !== 'f32')) return null;
  if (rank > weights.dims.length) return null;
  const [outChannels] = weights.dims as [number];
  const factor = node.op === 'Mul' ? scalar : 1;
  const shift = node.op === 'Add' ? scalar : 0;
  const bias = oldBias === undefined ? new Float32Array(outChannels) : f32Values(oldBias, convolution.name);
  const scaled = f32Values(weights, convolution.name).map((value) => value * factor);
  const shifted = bias.map((value) => value * factor + shift);
  const weightsName = `${node.name}/folded-weights`;
  const biasName = `${node.name}/folded-bias`;
  const constants = new Map([
    [weightsName, f32Tensor(weights.dims, scaled)],
    [biasName, f32Tensor([outChannels], shifted)],
  ]);
  const merged = { ...convolution, inputs: [convolution.inputs[0]!, weightsName, biasName], outputs: node.outputs };
  return {
    constants,
    nodes: new Map<GraphNode, GraphNode[]>([
      [node, []],
      [convolution, [merged]],
    ]),
  };
}

/** relu(x) * factor = relu(x * factor) and clip(x, low, high) * factor = clip(x * factor, low * factor, high * factor). */
function swapActivation(index: GraphIndex, activation: GraphNode, node: GraphNode, factor: number): Change | null {
  const constants = new Map<string, Tensor>();
  const inner = `${node.name}/before-activation`;
  const inputs = [inner];
  if (activation.op === 'Clip') {
    // Older operator sets have the bounds as attributes.
    if (activation.attributes.size > 0) return null;
    const bounds = activation.inputs.slice(1).map((name) => index.scalar(name));
    for (const [side, bound] of bounds.entries()) {
      if (bound === undefined) return null;
      const name = `${node.name}/bound-${side}`;
      constants.set(name, f32Tensor([], [bound * factor]));
      inputs.push(name);
    }
  } else if (activation.op !== 'Relu') {
    return null;
  }
  const factorName = node.inputs.find((input) => index.scalar(input) !== undefined)!;
  const multiply = { ...node, inputs: [activation.inputs[0]!, factorName], outputs: [inner] };
  const after = { ...activation, inputs, outputs: node.outputs };
  return {
    constants,
    nodes: new Map<GraphNode, GraphNode[]>([
      [node, [multiply, after]],
      [activation, []],
    ]),
  };
}
