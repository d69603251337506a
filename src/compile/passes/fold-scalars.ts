import { f32Tensor, f32Values, type Graph, type GraphNode, type Tensor } from '../graph.ts';
import { GraphIndex, removeUnused } from '../graph-index.ts';

/**
 * Folds what multiplies or adds one number after a convolution into its weights and bias. A positive factor behind a
 * relu or a clip goes through it (the bounds of the clip are scaled). In real numbers the result is the same; in f32 it
 * differs by rounding.
 */
export function foldScalars(graph: Graph): Graph {
  let current = graph;
  for (let next = foldOne(current); next !== null; next = foldOne(current)) current = next;
  return removeUnused(current);
}

/** Makes the first change that can be made; null where there is none left. */
function foldOne(graph: Graph): Graph | null {
  const index = new GraphIndex(graph);
  for (const node of graph.nodes) {
    if (node.op !== 'Mul' && node.op !== 'Add') continue;
    const operand = index.scalarOperand(node);
    const before = index.maker(operand?.other);
    if (operand === undefined || before === undefined || index.soleReader(operand.other) !== node) continue;
    if (before.op === 'Conv' && index.constant(before.inputs[1])?.type === 'f32') {
      return foldIntoConvolution(graph, index, before, node, operand.scalar);
    }
    const convolution = index.maker(before.inputs[0]);
    const isAfterConvolution = convolution?.op === 'Conv' && index.soleReader(before.inputs[0]!) === before;
    if (node.op !== 'Mul' || operand.scalar <= 0 || !isAfterConvolution) continue;
    const swapped = swapActivation(graph, index, before, node, operand.scalar);
    if (swapped !== null) return swapped;
  }
  return null;
}

function foldIntoConvolution(
  graph: Graph,
  index: GraphIndex,
  convolution: GraphNode,
  node: GraphNode,
  scalar: number,
): Graph {
  const weights = index.constant(convolution.inputs[1])!;
  const [outChannels] = weights.dims as [number];
  const factor = node.op === 'Mul' ? scalar : 1;
  const shift = node.op === 'Add' ? scalar : 0;
  const oldBias = index.constant(convolution.inputs[2]);
  const bias = oldBias === undefined ? new Float32Array(outChannels) : f32Values(oldBias, convolution.name);
  const scaled = f32Values(weights, convolution.name).map((value) => value * factor);
  const shifted = bias.map((value) => value * factor + shift);
  const weightsName = `${node.name}/folded-weights`;
  const biasName = `${node.name}/folded-bias`;
  const constants = new Map<string, Tensor>(graph.constants)
    .set(weightsName, f32Tensor(weights.dims, scaled))
    .set(biasName, f32Tensor([outChannels], shifted));
  const merged = { ...convolution, inputs: [convolution.inputs[0]!, weightsName, biasName], outputs: node.outputs };
  const nodes = graph.nodes.filter((other) => other !== node);
  return { ...graph, constants, nodes: nodes.map((other) => (other === convolution ? merged : other)) };
}

/** relu(x) * factor = relu(x * factor) and clip(x, low, high) * factor = clip(x * factor, low * factor, high * factor). */
function swapActivation(
  graph: Graph,
  index: GraphIndex,
  activation: GraphNode,
  node: GraphNode,
  factor: number,
): Graph | null {
  const constants = new Map<string, Tensor>(graph.constants);
  const inner = `${node.name}/before-activation`;
  const inputs = [inner];
  if (activation.op === 'Clip') {
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
  const nodes = graph.nodes.flatMap((other) => {
    if (other === node) return [multiply, after];
    return other === activation ? [] : [other];
  });
  return { ...graph, constants, nodes };
}
